"""`xmpplab compare`: two loads side by side, from their folders alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab import exit_codes
from lab.cli.options import FormatOption
from lab.cli.output import Format, print_json, print_text


def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN1", help="The folder of a load.", show_default=False)],
    second: Annotated[Path, typer.Argument(metavar="RUN2", help="The folder of another load.", show_default=False)],
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if",
            metavar="LIMITS",
            show_default=False,
            help="Fail if a figure changed by more, such as p99>10% or received<-5%; may be given several times.",
        ),
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Compare two loads, figure by figure.

    Reports which differences may be noise, and whether the two loads are comparable.
    """
    from lab.load.analysis.change_limits import judge_changes, parse_limits
    from lab.load.analysis.comparison import compare as compare_loads
    from lab.load.metrics.run_folder import read
    from lab.load.report.comparison import render, to_json
    from lab.runner.folders import read_plan

    limits = [limit for text in fail_if or () for limit in parse_limits(text)]
    one, other = read(first), read(second)
    found = compare_loads(one, other, (read_plan(first), read_plan(second)))
    verdict = judge_changes(found, limits) if limits else None
    if output is Format.JSON:
        print_json(to_json(found, verdict))
    else:
        print_text(render(found, one.folder, other.folder, verdict), verdicts=True)
    if verdict is not None:
        raise typer.Exit(verdict.exit_code)
    raise typer.Exit(exit_codes.VALID if found.comparable else exit_codes.UNKNOWN)
