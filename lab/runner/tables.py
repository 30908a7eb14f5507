"""Tables of a scenario: measured cell by cell, recorded, and shown by every report of the run."""

from __future__ import annotations

from collections.abc import Sequence

from lab.errors import UserError
from lab.history.events import TableRecorded
from lab.runner.context import current
from lab.system.tables import LEAST, format_table, wrap_text


def record_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> str:
    """Record a table in the history of the run, and return its text, 80 columns wide.

    `head` names the columns, `notes` are sentences below the table. Outside a run it is only returned. Raises UserError
    if a row has not as many cells as the head.
    """
    if wrong := next((row for row in rows if len(row) != len(head)), None):
        raise UserError(f"record_table: the row {wrong[0]!r} has {len(wrong)} cells, the head {len(head)}")
    run = current.get()
    table = TableRecorded(
        at=run.recorder.now() if run else 0.0,
        title=title,
        head=tuple(head),
        rows=tuple(tuple(row) for row in rows),
        notes=tuple(notes),
    )
    if run is not None:
        run.recorder.record(table)
    return render_table(table, LEAST)


def render_table(table: TableRecorded, width: int) -> str:
    """Title, table and notes as text, with a newline at its end."""
    notes = [line for note in table.notes for line in wrap_text(note, then="   ", width=width)]
    return "\n".join([table.title, format_table(table.head, table.rows, width=width), *notes]) + "\n"
