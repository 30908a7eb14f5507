"""What can be written for arrivals and traffic stands on the page about a load's numbers."""

from lab.load.workload import arrivals
from lab.load.workload import traffic_mix as traffic
from lab.load.workload.profiles import HOURLY, MIXES
from lab.load.workload.traffic_mix import parse
from tests.house.docs import DOCS, text

PAGE = text(DOCS / "load-numbers.md")


def test_every_form_is_documented() -> None:
    forms = [*arrivals.FORMS, *traffic.FORMS, *MIXES]
    assert [form for form in forms if f"`{form}`" not in PAGE] == []


def test_every_form_shown_is_one() -> None:
    for form in (*traffic.FORMS, *MIXES, "6*local+1*logins"):
        assert parse(form).parts
    for form in arrivals.FORMS:
        if "FILE" not in form:
            arrivals.parse(form)
    assert HOURLY["social:degree=8"] == 6, "the page says a message each ten minutes"
