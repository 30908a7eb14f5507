"""`xmpplab demo`: two scenarios and ten seconds of load on one lab, and the load's page. `make demo` is this."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab import exit_codes
from lab.cli.options import RuntimeChoice, RuntimeOption
from lab.cli.show import live_progress, plain_progress

if TYPE_CHECKING:
    from lab.cli.loading import Request
    from lab.cli.performance import Outcome
    from lab.lifecycle.lab import Lab
    from lab.load.metrics.run_folder import LoadRecord
    from lab.topology.spec import Topology

#: Who can write to whom; first contact with encryption across servers.
SCENARIOS = ("everyone_writes", "omemo_first_contact")
#: What any machine carries, so that it shows a federation at work and not the machine's limit.
USERS, RATE, LENGTH, WARMUP = 20, "50/s", "10s", "1s"


def demo(
    topology: Annotated[
        str, typer.Option("--topology", "-t", metavar="TOPOLOGY", help="A name, file or shape.")
    ] = "hidden_island",
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    runs: Annotated[Path, typer.Option("--runs", metavar="FOLDER", help="Where the runs' folders go.")] = Path("runs"),
) -> None:
    """Show what a lab does. Two scenarios, then ten seconds of load, on a lab of its own.

    Ends with the verdicts, the runs' folders and the address of the load's page.
    """
    from lab.cli.edge import work
    from lab.cli.run import summary

    outcomes, page = work(_perform(topology, runtime.value, runs, plain_progress()))
    print(f"\n{summary(outcomes)}")
    if page is not None:
        print(f"The load's page: {page.absolute().as_uri()}", flush=True)
    raise typer.Exit(exit_codes.merge(one.exit_code for one in outcomes if not one.skipped))


async def _perform(
    name: str, runtime: str, runs: Path, progress: Callable[[str], None]
) -> tuple[list[Outcome], Path | None]:
    """All of it on one lab: what each came to, and the load's page. Raises UserError before anything is started."""
    from lab.cli.edge import say
    from lab.cli.loading import a_lab
    from lab.cli.performance import Outcome
    from lab.errors import NotReady
    from lab.topology.files import load

    topology = load(name)
    asked = _asked(name, topology, runtime, runs)
    started = time.monotonic()
    try:
        async with a_lab(topology, None, runtime, progress) as lab:
            progress(f"{topology.name} is up ({lab.runtime.name}) after {time.monotonic() - started:.1f} s")
            outcomes = await _scenarios(lab, asked, progress)
            outcome, page = await _load(lab, asked, progress)
            return [*outcomes, outcome], page
    except NotReady as error:
        say(f"{topology.name} was never ready: {error}")
        return [
            Outcome("demo", topology.name, "never ready", exit_codes.NOT_READY, time.monotonic() - started, None)
        ], None


def _asked(name: str, topology: Topology, runtime: str, runs: Path) -> Request:
    """The load: along the links where there are any between people. Raises UserError where nobody can live."""
    from lab.cli.loading import Request
    from lab.declarations.manifest import Accounts

    houses = {server.name for server in topology.servers if server.manifest.accounts is Accounts.CREATED}
    linked = any({link.a, link.b} <= houses for link in topology.links)
    return Request.of(
        test="neighbours" if linked else "local", topology=name, users=USERS, rate=RATE, length=LENGTH,
        warmup=WARMUP, workers=1, arrivals=None, body=None, seed=0, pin=False, bounds=None, find_limit=None,
        runtime=runtime, lab=None, runs=runs, json=False,
    )  # fmt: skip


async def _scenarios(lab: Lab, asked: Request, progress: Callable[[str], None]) -> list[Outcome]:
    from lab.cli.performance import one_on
    from lab.runner.scenarios import load

    infos = [info for name in SCENARIOS for info in load(name)]
    return [await one_on(lab, info, progress, runs=asked.runs) for info in infos]


async def _load(lab: Lab, asked: Request, progress: Callable[[str], None]) -> tuple[Outcome, Path]:
    """On the lab as it is: its servers tell what they see, for the scenarios need that, and the load says so."""
    from lab.cli.loading import once
    from lab.cli.performance import Outcome
    from lab.load.analysis.thresholds import judge_load
    from lab.runner.folders import PAGE

    topology = lab.plan.topology.name
    progress(f"putting a load on {topology}: {asked.test.name}, {USERS} users, {RATE} for {LENGTH}")
    started = time.monotonic()
    with live_progress() as each_second:
        kept = await once(asked, lab, each_second, _tell)
    judged = judge_load(kept)
    took = time.monotonic() - started
    outcome = Outcome(f"load {asked.test.name}", topology, judged.value, judged.exit_code, took, kept.folder)
    return outcome, kept.folder / PAGE


def _tell(kept: LoadRecord) -> None:
    """A load's few lines. The page is named at the very end, which an interrupted demo does not come to."""
    from lab.load.analysis.thresholds import judge_load
    from lab.load.report.text import sentences
    from lab.runner.folders import PAGE

    lines = [str(judge_load(kept)), *sentences(kept), str(kept.folder)]
    if kept.interrupted:
        lines.append(str(kept.folder / PAGE))
    print("\n".join(lines), flush=True)
