"""The folder of a study: what was asked, each run, the table.

study.json   {"version", "asked": {...}, "arguments": {...} with which it is resumed, "planned": number of runs,
              "runs": [{"folder", "topology", "seed", "measured", "limited",
                        of a search for the highest rate also "figures": {...}, "search": {"rate", "part", "why",
                        "trials": [{"rate", "holds"}]}}],
              "table": [a row for each topology and software], "correlations": {metric: {figure: Spearman's}}}
study.csv    the table
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.errors import UserError
from lab.input_files import Steps, error_at, read_json, read_text
from lab.load.analysis.study import (
    FIGURES,
    LIMIT,
    METRICS,
    StudyRun,
    build_plot_points,
    build_table,
    compute_rank_correlation,
)
from lab.load.metrics import run_folder
from lab.load.metrics.rows import to_csv
from lab.load.metrics.run_folder import LoadRecord
from lab.runner.folders import write

STUDY, CSV = "study.json", "study.csv"
VERSION = 1

#: Rows from which on figures are correlated with metrics: fewer rows are often in the same order by chance.
MIN_ROWS = 5

StudyData = dict[str, Any]


def build_run_entry(record: LoadRecord, topology: str, seed: int) -> StudyData:
    """One run of a study, as in study.json."""
    return {
        "folder": record.folder.name,
        "topology": topology,
        "seed": seed,
        "measured": record.measured,
        "limited": bool(record.limits),
    }


def build_contents(
    asked: Mapping[str, Any],
    planned: int,
    entries: Sequence[StudyData],
    runs: Sequence[StudyRun],
    arguments: Mapping[str, Any] | None = None,
) -> StudyData:
    """The whole of study.json; there may be fewer runs than were planned, or none."""
    rows = build_table(runs)
    return {
        "version": VERSION,
        "asked": dict(asked),
        "arguments": dict(arguments or {}),
        "planned": planned,
        "runs": list(entries),
        "table": rows,
        "correlations": _correlations(rows),
    }


def write_study(folder: Path, data: StudyData) -> None:
    """Write study.json and study.csv."""
    write(folder / STUDY, json.dumps(data, indent=2) + "\n")
    write(folder / CSV, to_csv(data["table"]))


def read_study(folder: Path) -> StudyData:
    """The study.json of a folder. Raises UserError if the folder is not a study's, or has another version."""
    from lab.load.analysis.study_file import StudyFile, contradiction

    path = folder / STUDY
    try:
        found = read_json(path, StudyFile, "a study", VERSION, contradiction)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{folder}: not the folder of a study: it has no {STUDY}") from error
    return {**found}


def find_completed_runs(folder: Path) -> tuple[StudyData, dict[tuple[str, int], StudyData]]:
    """What a study is resumed with: its arguments, and its completed runs as in study.json, by topology and seed.

    Raises UserError if the folder is not a study's, or if one of its runs is damaged.
    """
    data = read_study(folder)
    if not data["arguments"]:
        raise wrong_value(folder, ("arguments",), "does not say what was asked for: start a new study")
    done: dict[tuple[str, int], StudyData] = {}
    for index, run in enumerate(data["runs"]):
        if not (folder / run["folder"]).is_dir():
            raise wrong_value(folder, ("runs", index, "folder"), f"there is no folder {run['folder']!r} in {folder}")
        if not _is_complete(folder / run["folder"], run):
            continue
        if not 0 <= run["seed"] < data["arguments"]["seeds"] or (run["topology"], run["seed"]) in done:
            raise wrong_value(folder, ("runs", index, "seed"), f"seed {run['seed']} was not asked for, or run before")
        done[run["topology"], run["seed"]] = run
    return data["arguments"], done


def _is_complete(folder: Path, run: StudyData) -> bool:
    """Whether a run of a study need not be repeated. Raises UserError if it is damaged."""
    if "search" in run:
        return bool(run["measured"])
    record = run_folder.read(folder)
    return record.measured and not record.interrupted


def wrong_value(folder: Path, steps: Steps, what: str) -> UserError:
    """The error about a value of the study.json of a folder, with its line."""
    path = folder / STUDY
    return error_at(read_text(path, "a study"), str(path), steps, what)


def _correlations(rows: list[StudyData]) -> dict[str, dict[str, float | None]]:
    """Spearman's rank correlation of each figure with each metric, over the rows; {} of too few rows."""
    if len(rows) < MIN_ROWS:
        return {}
    figures = (LIMIT, *FIGURES) if any(LIMIT in row for row in rows) else FIGURES
    found = {}
    for metric in METRICS:
        found[metric] = {
            figure: compute_rank_correlation(build_plot_points(rows, metric, figure)) for figure in figures
        }
    return found
