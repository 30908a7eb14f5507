"""`xmpplab load`: run a load on a federation and report deliveries, delays, losses and cost."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import (
    RUNS,
    BoundsOption,
    EncryptionOption,
    FaultsOption,
    FindLimitOption,
    FormatOption,
    PinOption,
    RunsOption,
    RuntimeChoice,
    RuntimeOption,
    UsersOption,
    WarmupOption,
    WorkersOption,
)  # fmt: skip
from lab.cli.output import Format, print_json, print_load, print_text, show_progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.load.capacity.search import Limit
    from lab.load.load_request import LoadRequest


class Security(StrEnum):
    """TLS of the users' connections."""

    STARTTLS = "starttls"
    DIRECT = "direct"


def load(
    test: Annotated[
        str, typer.Argument(metavar="NAME", help="A load test, a Locust file, or a traffic such as neighbours.")
    ],
    topology: Annotated[
        str | None, typer.Option("--topology", "-t", metavar="TOPOLOGY", help="A name, file or shape.")
    ] = None,
    users: UsersOption = 100,
    rate: Annotated[
        str | None, typer.Option("--rate", "-r", metavar="RATE", help="Messages per time, such as 1000/s.")
    ] = None,
    length: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="Length of the steady state, which is measured.")
    ] = "30s",
    warmup: WarmupOption = "5s",
    workers: WorkersOption = 1,
    arrivals: Annotated[
        str | None,
        typer.Option("--arrivals", metavar="TEXT", help="constant or poisson with --rate, or ramp:…, spike:…"),
    ] = None,
    body: Annotated[int | None, typer.Option("--body", min=0, metavar="BYTES", help="Size of a body.")] = None,
    encryption: EncryptionOption = None,
    security: Annotated[
        Security, typer.Option("--security", help="STARTTLS on port 5222, or direct TLS on 5223.")
    ] = Security.STARTTLS,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the random choice of senders, receivers and times.")] = 0,
    pin: PinOption = False,
    bounds: BoundsOption = None,
    find_limit: FindLimitOption = None,
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    name: Annotated[str | None, typer.Option("--name", metavar="LAB", help="Use this lab, which must be up.")] = None,
    faults: FaultsOption = None,
    runs: RunsOption = RUNS,
    output: FormatOption = Format.TABLE,
) -> None:
    """Run a load on a federation, and measure it.

    Links without conditions are direct, and servers do not report stanzas.
    """
    from lab.cli.entry_point import run_async
    from lab.load.analysis.thresholds import judge_load
    from lab.load.load_execution import run_load
    from lab.load.load_request import LoadRequest

    with show_progress() as progress:
        request = LoadRequest.parse(
            test=test, topology=topology, users=users, rate=rate, length=length, warmup=warmup, workers=workers,
            arrivals=arrivals, body=body, security=security.value, seed=seed, pin=pin, bounds=bounds,
            find_limit=find_limit, runtime=runtime.value, lab=name, runs=runs, faults=faults, encryption=encryption,
        )  # fmt: skip
        if find_limit is not None:
            code = _find_limit(request, progress, output)
        else:
            record = run_async(run_load(request, progress, lambda record: print_load(record, output)))
            code = judge_load(record).exit_code
    raise typer.Exit(code)


def _find_limit(request: LoadRequest, progress: Callable[[str], None], output: Format) -> int:
    from lab import exit_codes
    from lab.cli.entry_point import run_async
    from lab.load.limit_search import find_limit
    from lab.load.report.limit import render, to_json

    def print_limit(limit: Limit, folder: Path) -> None:
        if output is Format.JSON:
            print_json({"folder": str(folder), **to_json(limit)})
        else:
            print_text(f"{render(limit)}\n{folder}")

    limit = run_async(find_limit(request, progress, print_limit))
    return exit_codes.VALID if limit.confirmed else exit_codes.UNKNOWN
