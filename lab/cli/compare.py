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
    output: FormatOption = Format.TABLE,
) -> None:
    """Compare two loads, figure by figure.

    Reports which differences may be noise, and whether the two loads are comparable.
    """
    from lab.load.analysis.comparison import compare as compare_loads
    from lab.load.metrics.run_folder import read
    from lab.load.report.comparison import render, to_json
    from lab.runner.folders import read_plan

    one, other = read(first), read(second)
    found = compare_loads(one, other, (read_plan(first), read_plan(second)))
    if output is Format.JSON:
        print_json(to_json(found))
    else:
        print_text(render(found, one.folder, other.folder))
    raise typer.Exit(exit_codes.VALID if found.comparable else exit_codes.UNKNOWN)
