"""`xmpplab load`: put a load on a federation, and say what was delivered, how late, what was lost and what it cost."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.options import RuntimeChoice, RuntimeOption
from lab.cli.show import Format, live_progress


class Security(StrEnum):
    """How users' connections are encrypted."""

    STARTTLS = "starttls"
    DIRECT = "direct"


def load(
    test: Annotated[
        str, typer.Argument(metavar="NAME", help="A load test, a Locust file, or a traffic such as neighbours.")
    ],
    topology: Annotated[
        str | None, typer.Option("--topology", "-t", metavar="TOPOLOGY", help="A name, file or shape.")
    ] = None,
    users: Annotated[int, typer.Option("--users", "-u", min=1, help="People online, over all servers.")] = 100,
    rate: Annotated[
        str | None, typer.Option("--rate", "-r", metavar="RATE", help="Messages per time, as in 1000/s.")
    ] = None,
    length: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="How long it is measured, after the warm-up.")
    ] = "30s",
    warmup: Annotated[str, typer.Option("--warmup", metavar="DURATION", help="Apart from what is measured.")] = "5s",
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="Processes of the generator.")] = 1,
    arrivals: Annotated[
        str | None,
        typer.Option("--arrivals", metavar="TEXT", help="constant or poisson with --rate, or ramp:…, spike:…"),
    ] = None,
    body: Annotated[int | None, typer.Option("--body", min=0, metavar="BYTES", help="Of a message's body.")] = None,
    security: Annotated[
        Security, typer.Option("--security", help="STARTTLS on port 5222, or direct TLS on 5223.")
    ] = Security.STARTTLS,
    seed: Annotated[int, typer.Option("--seed", help="Of who writes to whom, and when.")] = 0,
    pin: Annotated[bool, typer.Option("--pin", help="Servers and generator on cores of their own.")] = False,
    bounds: Annotated[
        str | None, typer.Option("--bounds", metavar="BOUNDS", help="What must hold, as in p99=200ms,loss=0.")
    ] = None,
    find_limit: Annotated[
        str | None,
        typer.Option("--find-limit", metavar="BOUNDS", help="Search the highest rate within p99=…,loss=…"),
    ] = None,
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    name: Annotated[str | None, typer.Option("--name", metavar="LAB", help="On this lab, which is up.")] = None,
    runs: Annotated[Path, typer.Option("--runs", metavar="FOLDER", help="Where the run's folder goes.")] = Path("runs"),
    output: Annotated[Format, typer.Option("--format", "-f", help="For people, or for programs.")] = Format.TABLE,
) -> None:
    """Put a load on a federation, and measure it.

    Links without conditions are direct, and servers tell nothing of what they see.
    """
    from lab.cli.edge import work
    from lab.cli.loading import Request, perform

    with live_progress() as progress:
        request = Request.of(
            test=test, topology=topology, users=users, rate=rate, length=length, warmup=warmup, workers=workers,
            arrivals=arrivals, body=body, security=security.value, seed=seed, pin=pin, bounds=bounds,
            find_limit=find_limit, runtime=runtime.value, lab=name, runs=runs, json=output is Format.JSON,
        )  # fmt: skip
        code = work(perform(request, progress))
    raise typer.Exit(code)
