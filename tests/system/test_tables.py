"""Tables fit the terminal, and break no name and no number."""

import pytest

from lab.system.tables import table

HEAD = ("server", "domain", "software", "remark")
ROWS = [
    ("s1", "a-rather-long-name.example.test", "prosody@13.0", "it sends a feed of its stanzas, which costs it time")
]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_table_fits(width: int) -> None:
    found = table(HEAD, ROWS, width=width)
    assert max(map(len, found.splitlines())) <= width
    for word in " ".join((*HEAD, *ROWS[0])).split():
        assert word in found, "a word was broken"


def test_where_there_is_room_a_row_is_a_line() -> None:
    assert len(table(HEAD, ROWS, width=120).splitlines()) == 2
    assert len(table(HEAD, ROWS, width=80).splitlines()) > 2


def test_where_words_alone_are_wider_each_row_is_a_block() -> None:
    rows = [("x" * 30, "y" * 30, "z" * 30, "w"), ("a", "b", "c", "d")]
    first, second = table(HEAD, rows, width=80).split("\n\n")
    assert first.splitlines()[1] == f"domain    {'y' * 30}"
    assert second.splitlines()[-1] == "remark    d"


def test_figures_are_aligned_right_and_the_terminal_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert table(("route", "p99 ms"), [("all", "7.5")], figures=True) == "route  p99 ms\nall       7.5"
    assert max(map(len, table(HEAD, ROWS).splitlines())) <= 80
