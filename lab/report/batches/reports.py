"""What the formats of several runs have in common: the order of the results, and the report of each."""

from __future__ import annotations

from collections.abc import Sequence

from lab.runner import folders
from lab.runner.batch import BatchResult


def group_by_topology(results: Sequence[BatchResult]) -> dict[str, list[BatchResult]]:
    """The results of each topology, in the order in which they came."""
    groups: dict[str, list[BatchResult]] = {}
    for one in results:
        groups.setdefault(one.topology, []).append(one)
    return groups


def read_report(result: BatchResult) -> str:
    """The text of a run's report.txt, in which nothing acts on a terminal; "" without a folder or a report."""
    path = result.folder / folders.REPORT if result.folder else None
    return path.read_text(encoding="utf-8") if path is not None and path.is_file() else ""
