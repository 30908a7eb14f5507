"""The page of two runs beside each other: the first difference marked, all others below, links to the runs' pages."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lab.report.differences.comparison import ComparedEntry, RunDifference
from lab.report.differences.text import describe_same
from lab.report.html.document import render_page
from lab.runner import folders

SAME = 400  # entries that are the same in both and are shown, folded


def write_page(path: Path, difference: RunDifference, runs: Sequence[Path]) -> Path:
    """Write the page; `runs` are the two folders. Returns its path. Raises UserError if a folder has its name."""
    folders.write(path, render(difference, runs, path.parent))
    return path


def render(difference: RunDifference, runs: Sequence[Path], beside: Path) -> str:
    """The whole file, which will lie in the folder `beside`."""
    different, same = difference.different, [one for one in difference.pairs if one.same]
    return render_page(
        "diff.html",
        styles=("run.css",),
        title=f"{difference.scenario}: two runs",
        runs=[
            {"letter": letter, "name": folder.name, "value": judgement.value, "sentence": judgement.sentence,
             "page": _find_page(folder, beside)}
            for letter, folder, judgement in zip("AB", runs, difference.verdicts, strict=True)
        ],
        settings=[
            (name, one, other, name in difference.settings_differ) for name, one, other in difference.settings
        ],
        different=[_pair(one) for one in different],
        same=[_pair(one) for one in same[:SAME]],
        left=len(same) - SAME,
        counted=describe_same(difference),
    )  # fmt: skip


def _pair(pair: ComparedEntry) -> dict[str, Any]:
    return {
        "title": pair.title, "rows": pair.align(),
        "only": "B" if pair.first is None else "A" if pair.second is None else "",
        "first": pair.first.index if pair.first else None, "second": pair.second.index if pair.second else None,
    }  # fmt: skip


def _find_page(folder: Path, beside: Path) -> str | None:
    """The address of a run's page as the page of the difference has it; None where the run has no page."""
    page = (folder / folders.PAGE).resolve()
    if not page.is_file():
        return None
    return quote(os.path.relpath(page, beside.resolve()))
