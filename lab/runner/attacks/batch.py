"""All cells on one lab: a run for each attack, in which the people of all its cells write at the same time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lab.checks import Judgement
from lab.errors import UserError
from lab.federation import Federation
from lab.lifecycle.lab import Lab, require_libraries
from lab.lifecycle.registry import attach, find
from lab.lifecycle.runtimes import choose, get_runtime
from lab.lifecycle.up import choose_name, up
from lab.metrics.record import RunRecord
from lab.runner.attacks.cells import (
    CONTROL,
    AttackKind,
    Cell,
    CellOutcome,
    CellResult,
    get_kind,
    judge_without_trial,
    merge,
)
from lab.runner.attacks.outcomes import judge_trial
from lab.runner.attacks.trials import AttackTrial, find_control, list_trials, try_attack
from lab.runner.run import Report, run_scenario
from lab.runner.scenarios import ScenarioInfo
from lab.runtime.protocol import Runtime
from lab.topology.spec import Topology


@dataclass(frozen=True)
class AttackBatch:
    """What is tried, and on what."""

    cells: Sequence[Cell]
    runs: Path
    progress: Callable[[str], None]  # called with a short sentence about what is done
    report: Report  # called with each run that was judged
    inline: bool = False  # devices in this process


async def run_attacks(lab: Lab, batch: AttackBatch) -> list[CellResult]:
    """The result of every cell, in their order.

    Raises UserError if no folder can be made, or no link can be attacked.
    """
    servers = find_servers(lab.plan.topology)
    found = {cell: result for cell in batch.cells if (result := judge_without_trial(cell)) is not None}
    tried = [cell for cell in batch.cells if cell not in found]
    controls = list(dict.fromkeys(map(find_control, tried)))
    read = {one.cell: one for one in await _run(lab, batch, CONTROL, controls, servers)}
    for name in dict.fromkeys(cell.attack for cell in tried):
        kind = get_kind(name)
        results = await _run(lab, batch, kind, [cell for cell in tried if cell.attack == name], servers)
        found |= {one.cell: _compare_with_control(one, read[find_control(one.cell)]) for one in results}
    return [found[cell] for cell in batch.cells]


def _compare_with_control(result: CellResult, control: CellResult) -> CellResult:
    """The result, unless the same people do not read each other without the attack either."""
    if control.outcome is CellOutcome.IMPOSSIBLE or result.outcome is CellOutcome.UNKNOWN:
        return result
    why = f"without an attack it is not read as it was sent either: {control.why or control.text}"
    return replace(result, outcome=CellOutcome.UNKNOWN, by=(), why=why)


async def _run(
    lab: Lab, batch: AttackBatch, kind: AttackKind, cells: Sequence[Cell], servers: tuple[str, str]
) -> list[CellResult]:
    """One run: the results of an attack's cells."""
    if not cells:
        return []
    batch.progress(f"{kind.name}: {kind.about}")
    trials = list_trials(kind, cells, servers)
    judged: list[tuple[RunRecord, Judgement]] = []

    async def tell(federation: Federation) -> None:
        await try_attack(federation, kind, trials)

    def report(folder: Path, record: RunRecord, judgement: Judgement) -> None:
        judged.append((record, judgement))
        batch.report(folder, record, judgement)

    info = ScenarioInfo(
        name=f"attack-{kind.name}", title=kind.about, spec="", expects=(), function=tell, file=Path(__file__), line=1
    )
    result = await run_scenario(info, lab, report=report, runs=batch.runs, inline=batch.inline, faults=())
    record, judgement = judged[0]
    return [_judge_cell(record, judgement, cell, trials, result.folder.name) for cell in cells]


def _judge_cell(
    record: RunRecord, judgement: Judgement, cell: Cell, trials: Sequence[AttackTrial], folder: str
) -> CellResult:
    return merge([judge_trial(record, judgement, one, folder) for one in trials if one.cell == cell])


@asynccontextmanager
async def open_lab(
    topology: Topology | None,
    name: str | None,
    runtime: str,
    progress: Callable[[str], None],
    cells: Sequence[Cell] = (),
) -> AsyncIterator[Lab]:
    """The lab of this name, or one of this topology: one that is up, else one that ends with the block.

    What these cells need is there. Raises as `attach`, `up` and `find_servers` do.
    """
    tried = [cell for cell in cells if judge_without_trial(cell) is None]
    if topology is None:
        lab = await attach(name)
        await _require_libraries(lab.runtime, tried)
        yield lab
        return
    find_servers(topology)
    chosen = choose(runtime)
    await _require_libraries(chosen, tried)
    if (found := await find(topology, chosen)) is not None:
        progress(f"using the lab {found.name}, which is up with the same plan")
        yield found
        return
    lab = await up(
        topology, runtime=chosen, name=choose_name(topology, None, owned=True), owned=True, progress=progress
    )
    try:
        yield lab
    finally:
        await lab.down()


async def _require_libraries(runtime: Runtime, cells: Sequence[Cell]) -> None:
    """What devices need where they run, and what an attacker who takes part in OTR needs here."""
    await require_libraries(runtime, [cell.encryption for cell in cells])
    taking_part = [cell.encryption for cell in cells if cell.attack == "swap-bundle"]
    await require_libraries(get_runtime("processes"), taking_part)


def find_servers(topology: Topology) -> tuple[str, str]:
    """The two servers whose link is attacked: those of the topology's first. Raises UserError without one."""
    for link in topology.links:
        if link.comes_up and not link.direct:
            return link.a, link.b
    raise UserError(f"{topology.name}: no two servers are linked through a relay, which attacks need")
