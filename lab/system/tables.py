"""Tables and sentences of plain text, no wider than the terminal: no name and no number is broken."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from textwrap import wrap

from lab.system.terminal import escape_unprintable

#: Columns of a terminal that is narrower, and of output that is no terminal.
LEAST, USUAL = 80, 120
_GAP = "  "


def format_table(
    head: Sequence[str], rows: Sequence[Sequence[object]], *, figures: bool = False, width: int | None = None
) -> str:
    """Columns with two spaces between them; with `figures` all but the first are aligned right. No trailing spaces.

    It is at most `width` wide, or as wide as the terminal: cells wrap between words. Where words alone are wider, the
    first column stands on lines of its own above the others; where that is not enough, each row becomes lines of a name
    and a value each.
    """
    lines = [[str(cell) for cell in row] for row in (head, *rows)]
    most = width or get_terminal_width()
    if (widths := _widths(lines, most)) is not None:
        return "\n".join(text for line in lines for text in _wrapped(line, widths, figures))
    others = [line[1:] for line in lines]
    if len(head) > 1 and (widths := _widths(others, most - len(_GAP))) is not None:
        below = [[f"{_GAP}{text}" for text in _wrapped(line, widths, figures, first=0)] for line in others]
        return "\n".join(text for line, under in zip(lines, below, strict=True) for text in (line[0], *under))
    return _as_blocks(lines[0], lines[1:], most)


def wrap_text(text: str, first: str = "", then: str = "", *, width: int | None = None) -> list[str]:
    """The lines of a text, at most `width` wide, or as wide as the terminal; `first` and `then` are their indents.

    It wraps between words only: a line with an id, a JID or a path that is longer than the width is longer too.
    """
    return wrap(
        escape_unprintable(text), width or get_terminal_width(), initial_indent=first, subsequent_indent=then,
        break_long_words=False, break_on_hyphens=False,
    ) or [first]  # fmt: skip


def get_terminal_width() -> int:
    """Columns of the terminal, at least `LEAST`; `USUAL` where the output is no terminal."""
    return max(LEAST, shutil.get_terminal_size((USUAL, 24)).columns)


def _widths(lines: Sequence[Sequence[str]], most: int) -> list[int] | None:
    """The width of each column: the widest give way first, down to their longest word. None if that is not enough."""
    columns = range(len(lines[0]))
    widths = [max(len(line[column]) for line in lines) for column in columns]
    words = [max((len(word) for line in lines for word in line[column].split()), default=0) for column in columns]
    while sum(widths) + len(_GAP) * (len(widths) - 1) > most:
        wide = [column for column in columns if widths[column] > words[column]]
        if not wide:
            return None
        widths[max(wide, key=lambda column: widths[column])] -= 1
    return widths


def _wrapped(line: Sequence[str], widths: Sequence[int], figures: bool, first: int = 1) -> list[str]:
    """The lines of a row; with `figures` cells from column `first` on are aligned right."""
    cells = [
        wrap(cell, width, break_long_words=False, break_on_hyphens=False) if len(cell) > width else [cell]
        for cell, width in zip(line, widths, strict=True)
    ]
    found = []
    for number in range(max(len(cell) for cell in cells)):
        texts = [cell[number] if number < len(cell) else "" for cell in cells]
        found.append(
            _GAP.join(
                text.rjust(width) if figures and column >= first else text.ljust(width)
                for column, (text, width) in enumerate(zip(texts, widths, strict=True))
            ).rstrip()
        )
    return found


def _as_blocks(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    longest = max(map(len, head))
    below = " " * (longest + len(_GAP))
    blocks = (
        "\n".join(
            line.rstrip()
            for name, cell in zip(head, row, strict=True)
            for line in wrap_text(cell, f"{name.ljust(longest)}{_GAP}", below, width=width)
        )
        for row in rows
    )
    return "\n\n".join(blocks)
