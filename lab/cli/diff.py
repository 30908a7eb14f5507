"""`xmpplab diff`: two runs of one scenario beside each other, from their folders alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab import exit_codes
from lab.cli.output import check_writable, open_page, print_address, print_text


def diff(
    first: Annotated[Path, typer.Argument(metavar="RUN1", help="The folder of a run.", show_default=False)],
    second: Annotated[
        Path, typer.Argument(metavar="RUN2", help="The folder of another run of that scenario.", show_default=False)
    ],
    page: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write it as a page, too.", show_default=False),
    ] = None,
    open_: Annotated[
        bool, typer.Option("--open", help="Open that page in a browser; without -o it is diff.html in RUN2.")
    ] = False,
) -> None:
    """Compare two runs of a scenario. The first difference is marked: a step, a message's path or its end, a check.

    The exit code is 0 if they took the same course, and 1 if they did not.
    """
    from lab.checks import judge
    from lab.errors import UserError
    from lab.load.model.job import FILE as LOAD
    from lab.report.differences import text
    from lab.report.differences.comparison import compare
    from lab.report.html.diff_page import write_page
    from lab.runner import folders
    from lab.runner.judgement import load_record

    for run in (first, second):
        if (run / LOAD).is_file():
            raise UserError(f"{run}: is the folder of a load: compare two of them with `xmpplab compare`")
    check_writable(page)
    runs = [folders.find(run) for run in (first, second)]
    records = [load_record(folder) for folder in runs]
    found = compare(*((record, judge(record)) for record in records))
    print_text(text.render(found, [str(folder) for folder in runs]), end="")
    if page is not None or open_:
        written = write_page(page or runs[1] / "diff.html", found, runs)
        (open_page if open_ else print_address)(written)
    raise typer.Exit(exit_codes.FAILED if found.different else exit_codes.VALID)
