"""The reports in a run's folder: as text, and as a page."""

from __future__ import annotations

from pathlib import Path

from lab.checks import Judgement
from lab.metrics.record import RunRecord
from lab.report.formats.text import write_report
from lab.report.html.run_page import write_page


def write_reports(folder: Path, record: RunRecord, judgement: Judgement) -> None:
    """Write report.txt and page.html of a run that has been judged. Raises UserError where one cannot be written."""
    write_report(folder, record, judgement)
    write_page(folder, record, judgement)
