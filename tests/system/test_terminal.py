"""Nothing that others wrote acts on a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.system.terminal import escape_unprintable


@given(st.text() | st.text("\x1b[31m\r\x9b\u202e\ud800ab\n\t"))
def test_what_is_left_can_be_written_and_shown(text: str) -> None:
    shown = escape_unprintable(text)
    shown.encode()
    assert not [one for one in shown if unicodedata.category(one) in ("Cc", "Zl", "Zp", "Cs") and one not in "\n\t"]
    assert escape_unprintable(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, \u00fcml\u00e4ut, \u65e5\u672c, \U0001f600\n\tnext", None),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("over\rwritten\x08", r"over\x0dwritten\x08"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\ud83d", r"\ud83d"),
    ],
)
def test_characters_that_act_are_written_out(text: str, shown: str | None) -> None:
    assert escape_unprintable(text) == (text if shown is None else shown)
