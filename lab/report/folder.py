"""The report that every run's folder has: report.txt, the report as text."""

from __future__ import annotations

from pathlib import Path

from lab.checks import Judgement
from lab.metrics.record import RunRecord
from lab.report.formats.text import render
from lab.runner import folders
from lab.system.tables import USUAL


def write_report(folder: Path, record: RunRecord, judgement: Judgement) -> None:
    """Write report.txt into the folder of a run that has been judged; its width does not depend on a terminal."""
    folders.write(folder / folders.REPORT, render(record, judgement, USUAL))
