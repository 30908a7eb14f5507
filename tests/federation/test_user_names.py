"""Names that nobody has had in a lab before."""

from pathlib import Path

import pytest

from lab.errors import UserError
from lab.federation.user_names import NAMES, reserve_name
from lab.plan.layout import Layout
from lab.topology.spec import Custom, Server


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


def server(software: str = "prosody", **more: object) -> Server:
    return Server(name="a", domain="a.test", software=software, version="13.0", **more)


def test_a_wanted_name_gets_a_number_where_it_is_taken(layout: Layout) -> None:
    assert [reserve_name(layout, server(), "zoe") for _ in range(3)] == ["zoe", "zoe2", "zoe3"]
    assert (layout.root / "people" / "a" / "zoe3").stat().st_mode & 0o777 == 0o700


def test_without_one_it_is_the_next_that_is_not_known(layout: Layout) -> None:
    assert reserve_name(layout, server(), None, frozenset(NAMES[:2])) == NAMES[2]
    assert reserve_name(layout, server(), None, frozenset(NAMES)) == f"{NAMES[0]}2"


def test_where_the_lab_makes_no_accounts_those_that_are_listed_are_given_out(layout: Layout) -> None:
    own = server("custom", users=2, custom=Custom("mine", command=("true",)))
    assert [reserve_name(layout, own, "zoe") for _ in range(2)] == ["user1", "user2"]
    with pytest.raises(UserError, match="server a has 2 accounts, all taken"):
        reserve_name(layout, own, None)
