"""`xmpplab run`: run scenarios on one or several topologies, and judge them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab import exit_codes
from lab.cli.options import (
    RUNS,
    FaultsOption,
    FormatOption,
    JunitOption,
    RunsOption,
    RuntimeChoice,
    RuntimeOption,
    SummaryOption,
    read_duration,
)
from lab.cli.output import (
    Format,
    check_writable,
    make_batch_callbacks,
    print_address,
    print_json,
    print_text,
    write_output,
)
from lab.errors import UserError

if TYPE_CHECKING:
    from lab.runner.batch import BatchResult


def run(
    scenarios: Annotated[
        list[str],
        typer.Argument(
            metavar="SCENARIO...",
            help="Names of scenarios, or files ending in .py; FILE::NAME is one of a file.",
            show_default=False,
        ),
    ],
    topologies: Annotated[
        list[str] | None,
        typer.Option("--topology", "-t", metavar="TOPOLOGY", help="A name, file or shape; may be given several times."),
    ] = None,
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="LAB", help="Use this lab, which must be up, instead of topologies."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Do not end a lab on which a scenario was not valid.")] = False,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="DURATION", help="Time limit of one scenario.")
    ] = "10min",
    faults: FaultsOption = None,
    runs: RunsOption = RUNS,
    inline: Annotated[
        bool,
        typer.Option(
            "--inline", help="Run people's devices in this process, for a debugger; implies --runtime processes."
        ),
    ] = False,
    junit: JunitOption = None,
    summary: SummaryOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Run scenarios on topologies and judge the runs.

    A lab that is up with the same plan is used, with new accounts; otherwise a lab is started, and ended afterwards.
    """
    from lab.cli.entry_point import report_error, run_async
    from lab.runner.batch import BatchRequest, run_batch

    if inline and runtime is RuntimeChoice.CONTAINERS:
        raise UserError("--inline needs --runtime processes: devices in containers cannot be in this process")
    request = BatchRequest(
        scenarios=tuple(scenarios),
        topologies=tuple(topologies or ()),
        lab=name,
        runtime=(RuntimeChoice.PROCESSES if inline else runtime).value,
        keep=keep,
        within=read_duration("--timeout", timeout),
        runs=runs,
        inline=inline,
        faults=faults,
    )
    check_writable(junit, summary)
    told: list[dict[str, Any]] | None = [] if output is Format.JSON else None
    results = run_async(run_batch(request, make_batch_callbacks(report_error, told)))
    _print(results, _write(results, runs, junit, summary), told)
    raise typer.Exit(exit_codes.merge(one.exit_code for one in results if not one.skipped))


def _print(results: list[BatchResult], page: Path | None, told: list[dict[str, Any]] | None) -> None:
    """The results together: as JSON for programs, else a table of several and the address of their page."""
    from lab.report.batches import table

    if told is not None:
        print_json(told)
        return
    if len(results) > 1:
        print_text(f"\n{table.render(results)}")
    if page is not None:
        print_address(page)


def _write(results: list[BatchResult], runs: Path, junit: Path | None, summary: Path | None) -> Path | None:
    """Write the files that were asked for, and the page of runs on several topologies: its path."""
    from lab.report.batches import junit as junit_xml
    from lab.report.batches import markdown

    if junit is not None:
        write_output(junit, junit_xml.render(results))
    if summary is not None:
        write_output(summary, markdown.render(results))
    if len({one.topology for one in results}) < 2:
        return None
    from lab.report.html.matrix_page import write_page

    return write_page(runs, results)
