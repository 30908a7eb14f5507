"""The judgement of a run's folder: when the run has ended, or at any later time. It starts nothing and asks nobody."""

from __future__ import annotations

import json
from pathlib import Path

from lab.checks import Judgement, judge
from lab.history.reader import read
from lab.metrics.record import RunRecord
from lab.runner import folders


def load_record(folder: Path) -> RunRecord:
    """The record of a run, from its history and its plan. Raises UserError if one is missing or damaged."""
    return RunRecord(read(folder / folders.HISTORY), folders.read_plan(folder))


def judge_folder(folder: Path) -> tuple[RunRecord, Judgement]:
    """Judge the run in a folder and write its verdict.json. Raises UserError as `load_record` does."""
    record = load_record(folder)
    judgement = judge(record)
    folders.write(folder / folders.VERDICT, json.dumps(judgement.to_json(), indent=2) + "\n")
    return record, judgement
