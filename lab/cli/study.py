"""`xmpplab study`: the same load on several topologies, repeated with seeds, against what their graphs are like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli.options import RuntimeChoice, RuntimeOption
from lab.cli.show import Format, live_progress
from lab.errors import UserError


def study(
    topologies: Annotated[
        list[str] | None,
        typer.Option("--topology", "-t", metavar="TOPOLOGY", help="A name, file or shape; several times."),
    ] = None,
    test: Annotated[str, typer.Option("--load", metavar="NAME", help="A load test, file or traffic.")] = "neighbours",
    software: Annotated[
        list[str] | None,
        typer.Option("--software", metavar="SOFTWARE", help="For all servers, as in ejabberd; several times."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="How often each is repeated, 3 times unless said.")
    ] = None,
    users: Annotated[int, typer.Option("--users", "-u", min=1, help="People online, over all servers.")] = 100,
    rate: Annotated[str, typer.Option("--rate", "-r", metavar="RATE", help="Messages per time.")] = "100/s",
    arrivals: Annotated[str | None, typer.Option("--arrivals", metavar="TEXT", help="constant or poisson.")] = None,
    length: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long each is measured.")] = "20s",
    warmup: Annotated[str, typer.Option("--warmup", metavar="DURATION", help="Apart from what is measured.")] = "5s",
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="Processes of the generator.")] = 1,
    pin: Annotated[bool, typer.Option("--pin", help="Servers and generator on cores of their own.")] = False,
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    runs: Annotated[Path, typer.Option("--runs", metavar="FOLDER", help="Where the study's folder goes.")] = Path(
        "runs"
    ),
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="FOLDER", help="Go on with the study of that folder.")
    ] = None,
    output: Annotated[Format, typer.Option("--format", "-f", help="For people, or for programs.")] = Format.TABLE,
) -> None:
    """Repeat a load over topologies and softwares.

    Delay, loss and cost are set against diameter, degree and centralisation of the graphs.
    """
    from lab.cli.edge import work
    from lab.cli.studying import Study, perform

    if resume is not None:
        if topologies:
            raise UserError("--resume goes on with what its folder says: leave -t out, more --seeds make it longer")
        study = Study.resumed(resume, seeds, output is Format.JSON)
    else:
        arguments = {
            "topologies": topologies or [], "software": software or [], "seeds": seeds or 3, "test": test,
            "users": users, "rate": rate, "length": length, "warmup": warmup, "workers": workers,
            "arrivals": arrivals, "pin": pin, "runtime": runtime.value,
        }  # fmt: skip
        study = Study.of(arguments, output is Format.JSON, runs)
    with live_progress() as progress:
        code = work(perform(study, progress))
    raise typer.Exit(code)
