"""Tables fit the terminal, and break no name and no number."""

import pytest

from lab.system.tables import format_table, wrap_text

HEAD = ("server", "domain", "software", "remark")
ROWS = [
    ("s1", "a-rather-long-name.example.test", "prosody@13.0", "it sends a feed of its stanzas, which costs it time")
]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_table_fits(width: int) -> None:
    found = format_table(HEAD, ROWS, width=width)
    assert max(map(len, found.splitlines())) <= width
    for word in " ".join((*HEAD, *ROWS[0])).split():
        assert word in found, "a word was broken"


def test_where_there_is_room_a_row_is_a_line() -> None:
    assert len(format_table(HEAD, ROWS, width=120).splitlines()) == 2
    assert len(format_table(HEAD, ROWS, width=80).splitlines()) > 2


def test_where_the_first_column_leaves_no_room_it_stands_above_the_others() -> None:
    names = ("a" * 50, "b" * 50)
    found = format_table(
        ("route", "sent", "lost", "p99"), [(name, 10, 2, "7.5") for name in names], figures=True, width=60
    )
    assert found.splitlines() == [
        "route", "  sent  lost  p99", names[0], "    10     2  7.5", names[1], "    10     2  7.5",
    ]  # fmt: skip


def test_where_words_alone_are_wider_each_row_is_a_block() -> None:
    rows = [("x" * 30, "y" * 40, "z" * 40, "w"), ("a", "b", "c", "d")]
    first, second = format_table(HEAD, rows, width=80).split("\n\n")
    assert first.splitlines()[1] == f"domain    {'y' * 40}"
    assert second.splitlines()[-1] == "remark    d"


def test_figures_are_aligned_right_and_the_terminal_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert format_table(("route", "p99 ms"), [("all", "7.5")], figures=True) == "route  p99 ms\nall       7.5"
    assert max(map(len, format_table(HEAD, ROWS).splitlines())) <= 80


def test_a_sentence_wraps_between_words_and_says_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    path = f"/{'long-name/' * 12}end"
    said = f"Note: the folder {path} is where a message of 1000000 bytes lies, and \x1b[2J acts on no terminal."
    lines = wrap_text(said, then="  ")
    assert [line for line in lines if len(line) > 80] == [f"  {path}"]
    assert " ".join(line.strip() for line in lines) == said.replace("\x1b", "\\x1b")
    assert all(line.startswith("  ") for line in lines[1:])
