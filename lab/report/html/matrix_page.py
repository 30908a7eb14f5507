"""The page of several runs: a matrix of scenarios and topologies, each verdict leads to the page of its run."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lab import exit_codes
from lab.report.batches.table import write_sentence
from lab.report.html.document import render_page
from lab.runner import folders
from lab.runner.batch import BatchResult

_CLASSES = {"valid": "valid", "failed": "failed", "skipped": "none"}  # others are unknown
_MARKS = {"valid": "✓", "failed": "✗", "skipped": "–"}


def write_page(runs: Path, results: Sequence[BatchResult]) -> Path:
    """Write the page beside the folders of the runs, as `<time>-matrix.html`; its path. Raises UserError."""
    runs.mkdir(parents=True, exist_ok=True)
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-matrix"
    names = (f"{stem}.html", *(f"{stem}-{number}.html" for number in range(2, 1000)))
    path = next(runs / name for name in names if not (runs / name).exists())
    folders.write(path, render(results, runs))
    return path


def render(results: Sequence[BatchResult], beside: Path) -> str:
    """The whole file, which will lie in the folder `beside`."""
    topologies = list(dict.fromkeys(one.topology for one in results))
    cells: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for one in results:
        cells[one.scenario, one.topology].append(_cell(one, beside))
    values = Counter(one.value for one in results)
    worst = exit_codes.merge(one.exit_code for one in results if not one.skipped)
    verdict = {exit_codes.VALID: "valid", exit_codes.FAILED: "failed"}.get(worst, "unknown")
    return render_page(
        "matrix.html",
        styles=("run.css",),
        title=f"{len(results)} runs on {len(topologies)} topologies",
        value=verdict,
        sentence=write_sentence(results),
        figures=[*values.items(), ("took", f"{sum(one.seconds for one in results):.0f} s")],
        topologies=topologies,
        rows=[
            (scenario, [cells.get((scenario, topology), []) for topology in topologies])
            for scenario in dict.fromkeys(one.scenario for one in results)
        ],
        wrong=[(one, _cell(one, beside)) for one in results if one.exit_code != exit_codes.VALID and not one.skipped],
    )


def _cell(result: BatchResult, beside: Path) -> dict[str, Any]:
    page = result.folder / folders.PAGE if result.folder is not None else None
    return {
        "value": result.value,
        "state": _CLASSES.get(result.value, "unknown"),
        "mark": _MARKS.get(result.value, "?"),
        "seconds": f"{result.seconds:.1f} s",
        "page": quote(os.path.relpath(page, beside)) if page is not None and page.is_file() else None,
    }
