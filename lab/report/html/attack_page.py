"""The page of the attacks: the table, what its words mean, and how each result was found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lab.errors import UserError
from lab.report.attacks import TRUST_WORDS, WORDS, list_rows, render_sentence
from lab.report.html.document import render_page
from lab.runner.attacks.cells import CellResult
from lab.runner.attacks.reference import CellDifference
from lab.system.files import write_private

TITLE = "Attacks on encrypted messages"


def render_attack_page(results: Sequence[CellResult], differences: Sequence[CellDifference]) -> str:
    """The page as HTML."""
    value, sentence = render_sentence(results, differences)
    head, *rows = list_rows(results)
    return render_page(
        "attacks.html",
        styles=("run.css",),
        title=TITLE,
        value=value,
        sentence=sentence,
        table_head=head,
        table_rows=rows,
        words=list(WORDS.items()),
        trusts=list(TRUST_WORDS.items()),
        difference_head=("attack", "encryption", "trust", "result", "reference", "why"),
        differences=[
            (*_cell(one.found), one.found.text, one.expected or "not in it", one.found.why) for one in differences
        ],
        reason_head=("attack", "encryption", "trust", "result", "why", "run"),
        reasons=[(*_cell(one), one.text, one.why, one.folder) for one in results],
    )


def write_attack_page(path: Path, results: Sequence[CellResult], differences: Sequence[CellDifference]) -> None:
    """Write the page. Raises UserError if it cannot be written."""
    try:
        write_private(path, render_attack_page(results, differences))
    except OSError as error:
        raise UserError(f"{path}: the page cannot be written: {error.strerror or error}") from None


def _cell(result: CellResult) -> tuple[str, str, str]:
    cell = result.cell
    return cell.attack, cell.encryption, cell.trust
