"""What verbs print: results on standard output, progress on standard error, tables of plain text or JSON."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Any


class Format(StrEnum):
    """For people, or for programs."""

    TABLE = "table"
    JSON = "json"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as they must be, two spaces between them; no trailing spaces."""
    lines = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def emit(output: Format, rows: Sequence[dict[str, Any]], *, empty: str = "nothing") -> None:
    """Print rows with the same keys: as a table with the keys as its head, or as a JSON array."""
    if output is Format.JSON:
        print(json.dumps(rows, indent=2))
    elif rows:
        print(table([key.replace("_", " ") for key in rows[0]], [[_cell(v) for v in row.values()] for row in rows]))
    else:
        print(empty)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(str(item) for item in value) or "-"
    return str(value)


@contextlib.contextmanager
def live_progress() -> Iterator[Callable[[str], None]]:
    """Tell what is under way: one changing line on a terminal, else a line each, on standard error."""
    if not sys.stderr.isatty():
        yield plain_progress()
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status("…") as status:
        yield lambda text: status.update(escape(text))


def plain_progress() -> Callable[[str], None]:
    """Lines on standard error, none twice in a row. Runs use it: a changing line would get into a debugger's way."""
    last = ""

    def tell(text: str) -> None:
        nonlocal last
        if text != last:
            print(text, file=sys.stderr, flush=True)
        last = text

    return tell
