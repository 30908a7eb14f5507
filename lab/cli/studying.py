"""What `xmpplab study` does: a lab for each run, the load on it, a row for each topology; all kept in one folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.cli.loading import Progress, Request, a_lab, measured
from lab.errors import NotReady, UserError
from lab.runner import exits, folders

if TYPE_CHECKING:
    from lab.load.results import Result
    from lab.load.study import Cell
    from lab.topology.spec import Topology

TABLE, CSV = "study.json", "study.csv"
#: What the table for people has of a graph, and of a load.
SHOWN = ("p50_ms", "p99_ms", "loss", "cpu_per_1000", "busiest_share")
METRICS = ("diameter", "mean_degree", "centralisation")


@dataclass(frozen=True)
class Study:
    """What is asked for; requests by topology and software as they were written."""

    requests: Mapping[tuple[str, str | None], Request]
    seeds: int
    runs: Path
    json: bool


async def perform(study: Study, progress: Progress) -> int:
    """All of it; 0 if every run was measured, 2 if not."""
    from lab.load.study import repeat, table
    from lab.load.tables import to_csv

    by_name = {_name(key): request for key, request in study.requests.items()}
    if len(by_name) < len(study.requests):
        raise UserError("a topology stands twice in the study: give each once")
    folder = folders.make(study.runs, "study", f"{len(by_name)}-topologies")
    count, whole = 0, len(by_name) * study.seeds

    async def measure(topology: Topology, seed: int) -> Result:
        nonlocal count
        count += 1
        name, request = next((name, one) for name, one in by_name.items() if one.topology is topology)
        run = folder / f"{count:03}-{name.translate(_PLAIN)}-{seed}"
        run.mkdir(mode=0o700)
        here = f"run {count} of {whole}: {name}, seed {seed}"
        progress(here)
        async with a_lab(topology, None, request.runtime, lambda text: progress(f"{here}: {text}")) as lab:
            load = {**request.load, "seed": seed}
            kept = await measured(request, lab, run, load, lambda text: progress(f"{here}: {text}"))
        return kept.result

    topologies = {name: one.topology for name, one in by_name.items() if one.topology is not None}
    cells: list[Cell] = []
    try:
        async for cell in repeat(measure, topologies, range(study.seeds)):
            cells.append(cell)
    except NotReady as error:
        from lab.cli.edge import say

        say(f"a lab was never ready: {error}")
        return exits.NOT_READY
    finally:  # also of what was measured until it was interrupted
        made = table(cells) if cells else []
        folders.write(folder / TABLE, json.dumps({"table": made, "correlations": _correlations(made)}, indent=2) + "\n")
        folders.write(folder / CSV, to_csv(made))
        _tell(study, folder, made, cells)
    return exits.VALID if all(cell.result.total.received for cell in cells) else exits.UNKNOWN


_PLAIN = str.maketrans(dict.fromkeys(":,=@/+ ", "-"))


def _name(key: tuple[str, str | None]) -> str:
    return key[0] if key[1] is None else f"{key[0]} {key[1]}"


def _correlations(made: list[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Spearman's, of each figure with each metric, over the rows."""
    from lab.load.study import against, rank_correlation

    return {
        metric: {shown: rank_correlation(against(made, metric, shown)) for shown in SHOWN} for metric in METRICS
    } if len(made) > 2 else {}  # fmt: skip


def _tell(study: Study, folder: Path, made: list[dict[str, Any]], cells: list[Cell]) -> None:
    from lab.load.judging import verdict_of_limits
    from lab.load.telling import table

    if study.json:
        print(json.dumps({"folder": str(folder), "table": made, "correlations": _correlations(made)}, indent=2))
        return
    rows = [
        [
            row["topology"],
            row["software"],
            row["runs"],
            *(row[name] for name in METRICS),
            *(_with(row, n) for n in SHOWN),
        ]
        for row in made
    ]
    print(table(["topology", "software", "runs", *METRICS, *SHOWN], rows))
    for metric, found in _correlations(made).items():
        known = [f"{name} {value:+.2f}" for name, value in found.items() if value is not None]
        if known:
            print(f"rank correlation with {metric}: {', '.join(known)}")
    limited = sum(bool(verdict_of_limits(cell.result)) for cell in cells)
    if limited:
        print(f"In {limited} of {len(cells)} runs the generator was the limit: their figures are the generator's.")
    print(folder, flush=True)


def _with(row: Mapping[str, Any], name: str) -> str:
    """A mean with the half of its interval."""
    if name not in row:
        return "-"
    high = row[f"{name}_high"]
    return f"{row[name]:.3g}" if high is None else f"{row[name]:.3g} ± {high - row[name]:.2g}"
