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


@dataclass(frozen=True)
class Study:
    """What is asked for; requests by topology and software as they were written."""

    requests: Mapping[tuple[str, str | None], Request]
    seeds: int
    runs: Path
    json: bool


async def perform(study: Study, progress: Progress) -> int:
    """All of it; 0 if every run was measured, 2 if not."""
    from lab.load import studied
    from lab.load.study import repeat

    by_name = {_name(key): request for key, request in study.requests.items()}
    if len(by_name) < len(study.requests):
        raise UserError("a topology stands twice in the study: give each once")
    folder = folders.make(study.runs, "study", f"{len(by_name)}-topologies")
    whole = len(by_name) * study.seeds
    runs: list[dict[str, Any]] = []

    async def measure(topology: Topology, seed: int) -> Result:
        name, request = next((name, one) for name, one in by_name.items() if one.topology is topology)
        run = folder / f"{len(runs) + 1:03}-{name.translate(_PLAIN)}-{seed}"
        run.mkdir(mode=0o700)
        here = f"run {len(runs) + 1} of {whole}: {name}, seed {seed}"
        progress(here)
        async with a_lab(topology, None, request.runtime, lambda text: progress(f"{here}: {text}")) as lab:
            load = {**request.load, "seed": seed}
            kept = await measured(request, lab, run, load, lambda text: progress(f"{here}: {text}"))
        runs.append(studied.run_of(kept, name, seed))
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
        _conclude(folder, studied.contents(_asked(study), whole, runs, cells), json_only=study.json)
    return exits.VALID if all(run["measured"] for run in runs) else exits.UNKNOWN


_PLAIN = str.maketrans(dict.fromkeys(":,=@/+ ", "-"))


def _name(key: tuple[str, str | None]) -> str:
    return key[0] if key[1] is None else f"{key[0]} {key[1]}"


def _asked(study: Study) -> dict[str, Any]:
    """What all runs have alike."""
    one = next(iter(study.requests.values()))
    rate = {"rate": one.rate} if one.rate is not None else {}
    given = {name: value for name, value in one.load.items() if name != "seed"}
    own = {"workers": one.workers, "seeds": study.seeds, "pin": one.pin, "runtime": one.runtime}
    return {"load": one.test.name, **rate, **given, **own}


def _conclude(folder: Path, data: dict[str, Any], *, json_only: bool) -> None:
    from lab.load import studied
    from lab.load.page.study import write_page

    studied.keep(folder, data)
    write_page(folder)
    tell(folder, data, json_only=json_only)


def tell(folder: Path, data: dict[str, Any], *, json_only: bool) -> None:
    """Print what a study came to, for people or for programs; its folder and its page last."""
    from lab.load.studied import text

    page = (folder / folders.PAGE).absolute()
    if json_only:
        told = {name: data[name] for name in ("table", "correlations")}
        print(json.dumps({"folder": str(folder), "page": str(page), **told}, indent=2))
    else:
        print(f"{text(data)}{folder}\n{page.as_uri()}", flush=True)
