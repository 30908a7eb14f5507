"""The reference that results are compared with: what each cell is known to say. One file comes with the lab.

{"format": 1, "cells": {"replay": {"omemo": {"blind": "receiver", …}, …}, …}}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import exit_codes
from lab.errors import UserError
from lab.runner.attacks.cells import Cell, CellOutcome, CellResult, list_cells
from lab.system.files import write_private

FORMAT = 1
PACKAGED = Path(__file__).with_name("reference.json")

Reference = dict[Cell, str]


@dataclass(frozen=True)
class CellDifference:
    """A cell that says something else than the reference."""

    expected: str  # "" if the reference does not have it
    found: CellResult

    @property
    def known(self) -> bool:
        """Whether it is another result, and not the lack of one."""
        return self.found.outcome is not CellOutcome.UNKNOWN

    def __str__(self) -> str:
        known = self.expected or "not in it"
        return f"{self.found.cell}: {self.found.text}, in the reference {known}: {self.found.why}"


def read_reference(path: Path) -> Reference:
    """What each cell says in a file. Raises UserError for one that is none, or that cannot be read."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}; --update writes a new one") from None
    except ValueError as error:
        raise UserError(f"{path}: is no JSON: {error}") from None
    try:
        if data["format"] != FORMAT:
            raise UserError(f"{path}: has the format {data['format']!r}, and this version reads {FORMAT}")
        cells = data["cells"].items()
        found = {
            Cell(attack, encryption, trust): text
            for attack, columns in cells
            for encryption, trusts in columns.items()
            for trust, text in trusts.items()
        }
    except (KeyError, TypeError, AttributeError):
        raise _none(path) from None
    if not all(isinstance(text, str) and text for text in found.values()):
        raise _none(path)
    return found


def _none(path: Path) -> UserError:
    return UserError(f"{path}: is no reference of attacks: `xmpplab attacks --reference FILE --update` writes one")


def compare(results: Sequence[CellResult], reference: Reference) -> list[CellDifference]:
    """The cells that say something else; only those that were asked for are compared."""
    return [CellDifference(expected, one) for one in results if (expected := reference.get(one.cell, "")) != one.text]


def get_exit_code(differences: Sequence[CellDifference]) -> int:
    """Failed if a cell says something else, unknown if one could not be judged."""
    if any(one.known for one in differences):
        return exit_codes.FAILED
    return exit_codes.UNKNOWN if differences else exit_codes.VALID


def update(path: Path, results: Sequence[CellResult]) -> list[CellResult]:
    """Write these results into a reference, whose other cells stay; those that could not be judged are returned.

    Where the lab has no such attack, that is a result. Raises UserError if the file cannot be read or written.
    """
    known = read_reference(path) if path.exists() else {}
    left = [one for one in results if one.outcome is CellOutcome.UNKNOWN and one.folder]
    known |= {one.cell: one.text for one in results if one not in left}
    nested: dict[str, Any] = {}
    order = {cell: number for number, cell in enumerate(list_cells())}  # as in the table, so that changes are few
    for cell, text in sorted(known.items(), key=lambda item: order.get(item[0], len(order))):
        nested.setdefault(cell.attack, {}).setdefault(cell.encryption, {})[cell.trust] = text
    try:
        write_private(path, json.dumps({"format": FORMAT, "cells": nested}, indent=2) + "\n", 0o644)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None
    return left
