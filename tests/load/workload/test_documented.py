"""What can be written for arrivals and traffic stands on the page about a load's numbers."""

from lab.declarations.load_kinds import KINDS
from lab.load.kinds import CODE
from lab.load.workload import arrivals, traffic
from lab.load.workload.traffic import HOURLY, MIXES, parse_traffic
from tests.house.docs import DOCS, text

PAGE = text(DOCS / "load-numbers.md")


def test_every_form_is_documented() -> None:
    forms = [*arrivals.FORMS, *traffic.FORMS, *MIXES]
    assert [form for form in forms if f"`{form}`" not in PAGE] == []


def test_load_kinds_are_documented_as_they_are_declared() -> None:
    for kind in KINDS.values():
        assert f"| `{kind.form}` | {kind.about} |" in PAGE
        assert not kind.received or f"| `{kind.action}` | {kind.received} |" in PAGE


def test_every_kind_has_its_code() -> None:
    assert {*CODE} == {*KINDS}


def test_every_form_shown_is_one() -> None:
    for form in (*traffic.FORMS, *MIXES, "6*local+1*logins"):
        assert parse_traffic(form).parts
    for form in arrivals.FORMS:
        if "FILE" not in form:
            arrivals.parse_arrivals(form)
    assert HOURLY["social:degree=8"] == 6, "the page says a message each ten minutes"
