"""`xmpplab run`: carry scenarios out on one or several topologies, and judge them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab import exit_codes
from lab.cli.options import RuntimeChoice, RuntimeOption
from lab.cli.show import plain_progress, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.cli.performance import Outcome


def run(
    scenarios: Annotated[
        list[str],
        typer.Argument(metavar="SCENARIO...", help="Names, or files ending in .py.", show_default=False),
    ],
    topologies: Annotated[
        list[str] | None,
        typer.Option("--topology", "-t", metavar="TOPOLOGY", help="A name, file or shape; may be given several times."),
    ] = None,
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="LAB", help="Run on this lab, which is up, instead of on topologies."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave a lab up on which a scenario was not valid.")] = False,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="DURATION", help="The longest that one scenario may take.")
    ] = "10min",
    runs: Annotated[Path, typer.Option("--runs", metavar="FOLDER", help="Where the runs' folders go.")] = Path("runs"),
    inline: Annotated[
        bool, typer.Option("--inline", help="People's devices in this process, for a debugger; takes processes.")
    ] = False,
) -> None:
    """Run scenarios on topologies, and judge them.

    A lab that is up with the same plan is used again, with fresh people; otherwise a lab is made and ended.
    """
    from lab.cli.edge import work
    from lab.cli.performance import Request, perform
    from lab.declarations.units import seconds
    from lab.errors import UserError

    if inline and runtime is RuntimeChoice.CONTAINERS:
        raise UserError("--inline needs --runtime processes: devices in containers cannot be in this process")
    request = Request(
        scenarios=tuple(scenarios),
        topologies=tuple(topologies or ()),
        lab=name,
        runtime=(RuntimeChoice.PROCESSES if inline else runtime).value,
        keep=keep,
        within=seconds(timeout),
        runs=runs,
        inline=inline,
    )
    outcomes = work(perform(request, plain_progress()))
    if len(outcomes) > 1:
        print("\n" + summary(outcomes))
    raise typer.Exit(exit_codes.merge(one.exit_code for one in outcomes if not one.skipped))


def summary(outcomes: Sequence[Outcome]) -> str:
    """A line for each run, then a sentence."""
    rows = [(one.scenario, one.topology, one.value, f"{one.seconds:.1f} s", one.folder or "-") for one in outcomes]
    text = table(("scenario", "topology", "verdict", "took", "folder"), rows)
    judged = [one for one in outcomes if not one.skipped]
    valid = sum(one.exit_code == exit_codes.VALID for one in judged)
    sentence = f"{valid} of {len(judged)} runs are valid."
    if skipped := len(outcomes) - len(judged):
        sentence += f" {skipped} skipped: the topology cannot give what the scenario needs."
    return f"{text}\n\n{sentence}"
