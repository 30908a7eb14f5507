"""`xmpplab study`: the same load on several topologies, repeated with seeds, against what their graphs are like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli.options import RuntimeChoice, RuntimeOption
from lab.cli.show import Format, live_progress


def study(
    topologies: Annotated[
        list[str], typer.Option("--topology", "-t", metavar="TOPOLOGY", help="A name, file or shape; several times.")
    ],
    test: Annotated[str, typer.Option("--load", metavar="NAME", help="A load test, file or traffic.")] = "neighbours",
    software: Annotated[
        list[str] | None,
        typer.Option("--software", metavar="SOFTWARE", help="For all servers, as in ejabberd; several times."),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How often each is repeated.")] = 3,
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
    output: Annotated[Format, typer.Option("--format", "-f", help="For people, or for programs.")] = Format.TABLE,
) -> None:
    """Repeat a load over topologies and softwares.

    Delay, loss and cost are set against diameter, degree and centralisation of the graphs.
    """
    from lab.cli.edge import work
    from lab.cli.loading import Request
    from lab.cli.studying import Study, perform

    kinds: list[str | None] = [*software] if software else [None]
    requests = {
        (name, kind): Request.of(
            test=test, topology=name, software=kind, users=users, rate=rate, length=length, warmup=warmup,
            workers=workers, arrivals=arrivals, body=None, seed=0, pin=pin, bounds=None, find_limit=None,
            runtime=runtime.value, lab=None, runs=runs, json=False,
        )
        for name in topologies
        for kind in kinds
    }  # fmt: skip
    with live_progress() as progress:
        code = work(perform(Study(requests, seeds, runs, output is Format.JSON), progress))
    raise typer.Exit(code)
