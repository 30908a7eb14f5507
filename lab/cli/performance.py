"""What `xmpplab run` does: a lab for each topology, every scenario on it, each outcome told as it comes.

A lab that is up with an equal plan is used again and left up. Otherwise a lab is made that ends with this process;
with `keep` it is made so that it can stay, and ended here unless something was not valid.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import exit_codes
from lab.cli.edge import explain, say
from lab.errors import MissingError, NotReady, UserError
from lab.runner import folders

if TYPE_CHECKING:
    from lab.lifecycle.lab import Lab
    from lab.runner.scenarios import ScenarioInfo
    from lab.topology.spec import Topology

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What is asked for; either `topologies` or a `lab` that is up."""

    scenarios: tuple[str, ...]
    topologies: tuple[str, ...]
    lab: str | None
    runtime: str
    keep: bool
    within: float  # seconds
    runs: Path
    inline: bool  # devices in this process


@dataclass(frozen=True)
class Outcome:
    """What one scenario on one topology came to."""

    scenario: str
    topology: str
    value: str  # "valid", "failed", "unknown", "skipped", "never ready", "broken"
    exit_code: int
    seconds: float
    folder: Path | None
    skipped: bool = False


async def perform(request: Request, progress: Progress) -> list[Outcome]:
    """Run everything that was asked for. Raises UserError before anything is started, MissingError."""
    from lab.runner.scenarios import load as load_scenarios
    from lab.topology.files import load_all

    infos = [info for name in request.scenarios for info in load_scenarios(name)]
    folders.check(request.runs)
    if request.lab and request.topologies:
        raise UserError("give --topology or --name, not both: a lab that is up has its topology already")
    if not request.topologies:
        from lab.lifecycle.registry import attach

        if request.lab is None:
            progress("no topology was given: on the lab that is up")
        lab = await attach(request.lab)
        if request.inline and lab.runtime.name != "processes":
            raise UserError(f"--inline needs a lab of processes, and {lab.name} is in containers")
        return [await _one_on(lab, info, request, progress) for info in infos]
    outcomes: list[Outcome] = []
    for topology in load_all(request.topologies):
        outcomes += await _on_topology(topology, infos, request, progress)
    return outcomes


async def _on_topology(
    topology: Topology, infos: list[ScenarioInfo], request: Request, progress: Progress
) -> list[Outcome]:
    started = time.monotonic()
    outcomes: list[Outcome] = []
    try:
        async with _a_lab(topology, request, outcomes, progress) as lab:
            progress(f"{topology.name} is up ({lab.runtime.name}) after {time.monotonic() - started:.1f} s")
            for info in infos:
                outcomes.append(await _one_on(lab, info, request, progress))
    except NotReady as error:
        say(f"{topology.name} was never ready: {error}")
        came_to, code = "never ready", exit_codes.NOT_READY
    except (
        UserError,
        MissingError,
        OSError,
    ):  # of the machine, or of what was asked for: no topology is any better off
        raise
    except Exception as error:  # noqa: BLE001 - the other topologies are run all the same
        came_to, code = "broken", explain(error)
    else:
        return outcomes
    took = time.monotonic() - started
    names = [one.name for one in infos[len(outcomes) :]] or ["(its end)"]
    return [*outcomes, *(Outcome(name, topology.name, came_to, code, took, None) for name in names)]


@asynccontextmanager
async def _a_lab(
    topology: Topology, request: Request, outcomes: list[Outcome], progress: Progress
) -> AsyncIterator[Lab]:
    """A lab for this topology for the length of the block; `outcomes` decide whether `keep` keeps it."""
    from lab.lifecycle.registry import find
    from lab.lifecycle.runtimes import choose
    from lab.lifecycle.up import lab_name, up

    runtime = choose(request.runtime)
    if (found := await find(topology, runtime)) is not None:
        progress(f"using the lab {found.name}, which is up with the same plan")
        yield found
        return
    name = lab_name(topology, None, owned=True)
    lab = await up(topology, runtime=runtime, name=name, owned=not request.keep, progress=progress)
    kept = False
    try:
        yield lab
        kept = request.keep and any(one.exit_code != exit_codes.VALID and not one.skipped for one in outcomes)
    finally:
        if not kept:
            await lab.down()
    if kept:
        print(f"The lab is left up: look with `xmpplab status {name}`, `xmpplab logs --name {name}`.")
        print(f"End it with: xmpplab down {name}")


async def _one_on(lab: Lab, info: ScenarioInfo, request: Request, progress: Progress) -> Outcome:
    return await one_on(lab, info, progress, runs=request.runs, within=request.within, inline=request.inline)


async def one_on(
    lab: Lab, info: ScenarioInfo, progress: Progress, *, runs: Path, within: float | None = None, inline: bool = False
) -> Outcome:
    """Run a scenario on a lab that is up, and tell of it."""
    from lab.report.folder import write_report
    from lab.runner.run import SCENARIO_DEADLINE, run_scenario

    topology = lab.plan.topology.name
    progress(f"running {info.name} on {topology}: {info.title}")
    started = time.monotonic()
    result = await run_scenario(
        info, lab, report=write_report, runs=runs, within=within or SCENARIO_DEADLINE, inline=inline
    )
    took = time.monotonic() - started
    print(f"{result.value.upper()}: {info.name} on {topology}: {result.sentence}\n{result.folder}", flush=True)
    return Outcome(info.name, topology, result.value, result.exit_code, took, result.folder, result.skipped)
