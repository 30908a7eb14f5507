"""A run on a lab, judged: where federation, runner, checks and report come together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from lab.federation import Federation
from lab.lifecycle.lab import Lab
from lab.plan.layout import LOG, OUTPUT
from lab.report.folder import conclude
from lab.runner.run import SCENARIO_DEADLINE, RunResult, run
from lab.runner.scenarios import ScenarioInfo


async def run_scenario(
    info: ScenarioInfo, lab: Lab, *, runs: Path, within: float = SCENARIO_DEADLINE, inline: bool = False
) -> RunResult:
    """Run a scenario on a lab that is up, with fresh people, and judge it; see `lab.runner.run.run`.

    With `inline` the people's devices live in this process, where breakpoints reach them (runtime `processes` only).
    """
    return await run(
        info,
        lambda recorder: Federation(lab, recorder, inline=inline),
        plan=lab.plan,
        conclude=conclude,
        logs=logs_of(lab),
        runs=runs,
        within=within,
    )


def logs_of(lab: Lab) -> Mapping[str, Iterable[Path]]:
    """The log files of each server, and of the lab's service."""
    servers = {
        server.spec.name: (lab.layout.server(server.spec.name) / LOG, lab.layout.server(server.spec.name) / OUTPUT)
        for server in lab.plan.servers
    }
    return {**servers, "service": (lab.layout.service_log,)}
