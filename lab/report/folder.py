"""From the folder of a run to its verdict: when the run has ended, or any time later. It starts nothing."""

from __future__ import annotations

import json
from pathlib import Path

from lab.checks import Judgement, Record, judge
from lab.errors import UserError
from lab.history.reader import read
from lab.plan import files
from lab.report.formats import ReportFormat, render
from lab.runner import folders


def load(folder: Path) -> Record:
    """The record of a run, from its history and its plan. Raises UserError if one is missing or damaged."""
    path = folder / folders.PLAN
    try:
        plan = files.load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: there is no plan: give the folder of a run") from None
    return Record(read(folder / folders.HISTORY), plan)


def conclude(folder: Path) -> Judgement:
    """Judge a run and write verdict.json and report.txt into its folder. Raises UserError as `load` does."""
    record = load(folder)
    judgement = judge(record)
    folders.write(folder / folders.VERDICT, json.dumps(judgement.to_json(), indent=2) + "\n")
    folders.write(folder / folders.REPORT, render(ReportFormat.TEXT, record, judgement))
    return judgement
