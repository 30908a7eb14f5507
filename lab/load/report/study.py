"""A study's folder: what was asked, each run and where it lies, the table; kept, read again, told.

study.json   {"version", "asked": {...}, "arguments": {...} with which it is gone on with, "planned": number of runs,
              "runs": [{"folder", "topology", "seed", "measured", "limited"}],
              "table": [a row for each topology and software], "correlations": {metric: {figure: Spearman's}}}
study.csv    the table
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.errors import UserError
from lab.load.analysis.study import MIN_RUNS_FOR_T, StudyRun, plot_points, rank_correlation, table
from lab.load.metrics.rows import to_csv
from lab.load.metrics.run_folder import LoadRecord
from lab.load.metrics.run_folder import read as read_load
from lab.load.report.text import table as columns
from lab.runner.folders import write

STUDY, CSV = "study.json", "study.csv"
VERSION = 1
#: What the table for people has of a graph, and of a load.
METRICS = ("diameter", "mean_distance", "max_degree", "betweenness", "linked_pairs")
SHOWN = ("p50_ms", "p99_ms", "loss", "cpu_per_1000", "busiest_share")

#: Rows from which on figures are correlated with metrics: of fewer, chance alone often puts all in one order.
ROWS = 5

#: What to do about a study that lacks runs.
ON = "Go on with `xmpplab study --resume` and its folder."

Data = dict[str, Any]


def run_of(kept: LoadRecord, topology: str, seed: int) -> Data:
    """One run of a study, as study.json has it."""
    return {
        "folder": kept.folder.name,
        "topology": topology,
        "seed": seed,
        "measured": kept.measured,
        "limited": bool(kept.limits),
    }


def contents(
    asked: Mapping[str, Any],
    planned: int,
    runs: Sequence[Data],
    cells: Sequence[StudyRun],
    arguments: Mapping[str, Any] | None = None,
) -> Data:
    """All of study.json; `cells` may be fewer than were planned, or none."""
    made = table(cells)
    return {
        "version": VERSION,
        "asked": dict(asked),
        "arguments": dict(arguments or {}),
        "planned": planned,
        "runs": list(runs),
        "table": made,
        "correlations": _correlations(made),
    }


def keep(folder: Path, data: Data) -> None:
    """Write it into the study's folder."""
    write(folder / STUDY, json.dumps(data, indent=2) + "\n")
    write(folder / CSV, to_csv(data["table"]))


def read(folder: Path) -> Data:
    """study.json of a folder. Raises UserError if it is not a study's, or of another version."""
    try:
        found: Data = json.loads((folder / STUDY).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{folder}: not the folder of a study: it has no {STUDY}") from error
    except ValueError as error:
        raise UserError(f"{folder / STUDY}: is damaged: {error}") from error
    if found.get("version") != VERSION:
        raise UserError(f"{folder}: of version {found.get('version')!r}; this lab reads version {VERSION}")
    return found


def whole_runs(folder: Path) -> tuple[Data, dict[tuple[str, int], Path]]:
    """With what a study is gone on with: its arguments, and the folders of its whole runs by topology and seed.

    Raises UserError if it is no study's folder.
    """
    data = read(folder)
    if not data["arguments"]:
        raise UserError(f"{folder}: does not say what was asked for: begin the study anew")
    done = {}
    for run in data["runs"]:
        kept = read_load(folder / run["folder"])
        if kept.measured and not kept.interrupted:
            done[run["topology"], run["seed"]] = kept.folder
    return data["arguments"], done


def text(data: Data) -> str:
    """The table and what to know before believing it, for people."""
    rows = [
        [row["topology"], row["software"], row["runs"], *(row[name] for name in METRICS)]
        + [spread(row, name) for name in SHOWN]
        for row in data["table"]
    ]
    lines = [columns(["topology", "software", "runs", *METRICS, *SHOWN], rows)]
    for metric, found in data["correlations"].items():
        known = [f"{name} {value:+.2f}" for name, value in found.items() if value is not None]
        if known:
            lines.append(f"rank correlation with {metric}: {', '.join(known)}")
    if sure := how_sure(data["table"]):
        lines.append(sure)
    return "\n".join([*lines, *remarks(data)]) + "\n"


def remarks(data: Data) -> list[str]:
    """What a reader has to know, a sentence each."""
    measured, limited = (sum(run[name] for run in data["runs"]) for name in ("measured", "limited"))
    said = [] if measured == data["planned"] else [f"{measured} of {data['planned']} runs were measured."]
    if limited:
        said.append(f"In {limited} of {len(data['runs'])} runs the generator was the limit: their figures are its own.")
    if measured != data["planned"]:
        said.append(ON)
    return said


def how_sure(made: Sequence[Mapping[str, Any]]) -> str:
    """What stands behind the means, as a sentence; "" where there is none."""
    counts = {row["runs"] for row in made if row["runs"]}
    if not counts:
        return ""
    if max(counts) == 1:
        return "One run each says nothing of how much runs vary: take more seeds."
    said = []
    if min(counts) < MIN_RUNS_FOR_T:
        said.append(f"of fewer than {MIN_RUNS_FOR_T} runs the least and the greatest")
    if max(counts) >= MIN_RUNS_FOR_T:
        said.append(f"of {MIN_RUNS_FOR_T} runs or more the 95 % interval of the mean over the seeds (Student's t)")
    return f"Behind means: {', '.join(said)}."


def _correlations(made: list[Data]) -> dict[str, dict[str, float | None]]:
    """Spearman's, of each figure with each metric, over the rows; {} of too few."""
    if len(made) < ROWS:
        return {}
    return {
        metric: {shown: rank_correlation(plot_points(made, metric, shown)) for shown in SHOWN} for metric in METRICS
    }


def spread(row: Mapping[str, Any], name: str, scale: float = 1.0) -> str:
    """A mean with its interval: "20 ± 3" of five runs or more, "20 (18 to 23)", least to greatest, of fewer."""
    if name not in row:
        return "-"
    mean, low, high = (None if value is None else value * scale for value in (row[name + end] for end in _ENDS))
    if high is None:
        return f"{mean:.3g}"
    if row["runs"] < MIN_RUNS_FOR_T:
        return f"{mean:.3g} ({low:.3g} to {high:.3g})"
    return f"{mean:.3g} ± {high - mean:.2g}"


_ENDS = ("", "_low", "_high")
