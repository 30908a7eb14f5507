"""The result of a study as text: its table, correlations, and remarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.load.analysis.study import COSTS, FIGURES, LIMIT, METRICS, MIN_RUNS_FOR_T, RECOVERY
from lab.load.analysis.study_folder import StudyData
from lab.system.tables import format_table, wrap_text

#: What to do about a study that lacks runs.
RESUME = "Resume it with `xmpplab study --resume` and its folder."


def render(data: StudyData) -> str:
    """Tables of the figures and of the graphs, and what a reader must know before using it; it ends with a newline."""
    rows = [
        [row["topology"], row["software"], row["runs"], *(format_mean(row, name) for name in FIGURES)]
        for row in data["table"]
    ]
    graphs = {row["topology"]: [row["topology"], *(row[name] for name in METRICS)] for row in data["table"]}
    tables = [
        format_table(["topology", "software", "runs", *FIGURES], rows, figures=True),
        format_table(["topology", *(name.replace("_", " ") for name in METRICS)], list(graphs.values()), figures=True),
    ]
    if searches := [run for run in data["runs"] if "search" in run]:
        tables.insert(0, _format_limits(data["table"]))
        tables.append(_format_searches(searches))
    if any(RECOVERY[1] in row for row in data["table"]):
        tables.append(_format_recovery(data["table"]))
    if data["arguments"].get("encryptions"):
        tables.append(_format_costs(data["table"]))
    said = []
    for metric, found in data["correlations"].items():
        known = [f"{name} {value:+.2f}" for name, value in found.items() if value is not None]
        if known:
            said.append(f"rank correlation with {metric}: {', '.join(known)}")
    if note := describe_intervals(data["table"]):
        said.append(note)
    lines = [line for sentence in [*said, *list_remarks(data)] for line in wrap_text(sentence, then="  ")]
    return "\n\n".join(tables) + "\n" + "".join(f"{line}\n" for line in lines)


def _format_costs(rows: Sequence[Mapping[str, Any]]) -> str:
    """What a message costs, encryption beside encryption."""
    head = ["", "servers, CPU ms", "clients, CPU ms", "bytes on links"]
    return "per message\n" + format_table(
        head, [[row["topology"], *(format_mean(row, name) for name in COSTS)] for row in rows], figures=True
    )


def _format_limits(rows: Sequence[Mapping[str, Any]]) -> str:
    """The highest rates, which are what such a study is about."""
    return format_table(
        ["topology", "software", "runs", "highest rate per s"],
        [[row["topology"], row["software"], row["runs"], format_mean(row, LIMIT)] for row in rows],
        figures=True,
    )


def _format_searches(runs: Sequence[Mapping[str, Any]]) -> str:
    """Each search with its steps."""
    rows = [
        [
            f"{run['topology']}, seed {run['seed']}",
            f"{run['search']['rate']:.0f}/s" if run["search"]["rate"] else "none",
            "yes" if run["measured"] else "no",
            run["search"]["part"],
            " ".join(f"{one['rate']:.0f}{'' if one['holds'] else '!'}" for one in run["search"]["trials"]),
        ]
        for run in runs
    ]
    head = ["search", "highest rate", "confirmed", "bottleneck", "rates tried; ! exceeds the bounds"]
    return format_table(head, rows)


def _format_recovery(rows: Sequence[Mapping[str, Any]]) -> str:
    """How the load recovered from the declared faults."""
    head = ["under faults", "longest recovery, s", "recovered, % of faults"]
    time, share = RECOVERY
    found = [[row["topology"], format_mean(row, time), format_mean(row, share, 100)] for row in rows]
    return format_table(head, found, figures=True)


def judge_study(data: StudyData) -> tuple[str, str]:
    """ "valid" if every run was measured, and no generator instead of the servers; else "unknown". With a sentence."""
    limited = any(run["limited"] for run in data["runs"])
    whole = data["planned"] and sum(run["measured"] for run in data["runs"]) == data["planned"]
    said = [f"All {data['planned']} runs were measured.", *list_remarks(data)] if whole else list_remarks(data)
    return "valid" if whole and not limited else "unknown", " ".join(said)


def list_remarks(data: StudyData) -> list[str]:
    """What a reader must know, a sentence each."""
    measured, limited = (sum(run[name] for run in data["runs"]) for name in ("measured", "limited"))
    said = [] if measured == data["planned"] else [f"{measured} of {data['planned']} runs were measured."]
    if limited:
        said.append(f"In {limited} of {len(data['runs'])} runs the generator was the limit: their figures are its own.")
    if bounds := data["asked"].get("find_limit"):
        said.append(f"The highest rate is within {bounds}; the other figures are of the load that confirmed it.")
    if measured != data["planned"]:
        said.append(RESUME)
    return said


def describe_intervals(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the values after the means are, as a sentence; "" if there are none."""
    counts = {row["runs"] for row in rows if row["runs"]}
    if not counts:
        return ""
    if max(counts) == 1:
        return "One run each does not show how much runs vary: use more seeds."
    said = []
    if min(counts) < MIN_RUNS_FOR_T:
        said.append(f"of fewer than {MIN_RUNS_FOR_T} runs the least and the greatest value")
    if max(counts) >= MIN_RUNS_FOR_T:
        said.append(f"of {MIN_RUNS_FOR_T} runs or more the 95 % interval of the mean over the seeds (Student's t)")
    return f"After each mean: {', '.join(said)}."


def format_mean(row: Mapping[str, Any], name: str, scale: float = 1.0) -> str:
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
