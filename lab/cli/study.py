"""`xmpplab study`: the same load on several topologies, repeated with seeds, against metrics of their graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lab.cli.options import (
    RUNS,
    EncryptionsOption,
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
from lab.cli.output import Format, print_study, show_progress
from lab.errors import UserError


def study(
    topologies: Annotated[
        list[str] | None,
        typer.Option("--topology", "-t", metavar="TOPOLOGY", help="A name, file or shape; may be given several times."),
    ] = None,
    test: Annotated[str, typer.Option("--load", metavar="NAME", help="A load test, file or traffic.")] = "neighbours",
    software: Annotated[
        list[str] | None,
        typer.Option(
            "--software",
            metavar="SOFTWARE",
            help="The software of all servers, such as ejabberd; may be given several times.",
        ),
    ] = None,
    encryptions: EncryptionsOption = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="How many times each is measured; 3 by default.")
    ] = None,
    users: UsersOption = 100,
    rate: Annotated[
        str, typer.Option("--rate", "-r", metavar="RATE", help="Messages per time, such as 100/s.")
    ] = "100/s",
    arrivals: Annotated[str | None, typer.Option("--arrivals", metavar="TEXT", help="constant or poisson.")] = None,
    length: Annotated[str, typer.Option("--for", metavar="DURATION", help="Length of each steady state.")] = "20s",
    warmup: WarmupOption = "5s",
    workers: WorkersOption = 1,
    pin: PinOption = False,
    find_limit: FindLimitOption = None,
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    faults: FaultsOption = None,
    runs: RunsOption = RUNS,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="FOLDER", help="Resume the study in this folder.")
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Measure the same load on several topologies.

    Compares delay, loss and cost with diameter, degree and centralisation of the graphs.
    """
    from lab import exit_codes
    from lab.cli.entry_point import run_async
    from lab.load.report.study import judge_study
    from lab.load.study_execution import StudyRequest, run_study

    if resume is not None:
        if topologies:
            raise UserError("--resume uses the topologies of its folder: remove -t; a larger --seeds adds runs")
        request = StudyRequest.resume(resume, seeds)
    else:
        arguments: dict[str, Any] = {
            "topologies": topologies or [], "software": software or [], "seeds": seeds or 3, "test": test,
            "users": users, "rate": rate, "length": length, "warmup": warmup, "workers": workers,
            "arrivals": arrivals, "pin": pin, "runtime": runtime.value, "encryptions": encryptions or None,
            "find_limit": find_limit, "faults": faults and str(faults.absolute()),
        }  # fmt: skip
        request = StudyRequest.parse(arguments, runs)
    with show_progress() as progress:
        data = run_async(run_study(request, progress, lambda folder, data: print_study(folder, data, output)))
    raise typer.Exit(exit_codes.VALID if judge_study(data)[0] == "valid" else exit_codes.UNKNOWN)
