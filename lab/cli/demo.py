"""`xmpplab demo`: two scenarios and ten seconds of load on one lab, and the load's page. `make demo` is this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lab import exit_codes
from lab.cli.options import RUNS, RunsOption, RuntimeChoice, RuntimeOption
from lab.cli.output import make_batch_callbacks, print_text, show_progress

if TYPE_CHECKING:
    from lab.load.metrics.run_folder import LoadRecord


def demo(
    topology: Annotated[
        str, typer.Option("--topology", "-t", metavar="TOPOLOGY", help="A name, file or shape.")
    ] = "hidden-island",
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    runs: RunsOption = RUNS,
) -> None:
    """Run a demonstration on a new lab.

    Runs two scenarios and ten seconds of load. Prints the verdicts, the runs' folders and the address of the
    load's page.
    """
    from lab.cli.entry_point import report_error, run_async
    from lab.load.demonstration import DemoCallbacks, demonstrate
    from lab.report.batches.table import render

    callbacks = DemoCallbacks(make_batch_callbacks(report_error), show_progress, _print_load)
    results, page = run_async(demonstrate(topology, runtime.value, runs, callbacks))
    print_text(f"\n{render(results)}")
    if page is not None:
        print_text(f"The load's page: {page.absolute().as_uri()}")
    raise typer.Exit(exit_codes.merge(one.exit_code for one in results if not one.skipped))


def _print_load(record: LoadRecord) -> None:
    """A few lines about the load. The address of its page is printed last; an interrupted demo does not get there."""
    from lab.load.analysis.thresholds import judge_load
    from lab.load.report.text import list_remarks
    from lab.runner.folders import PAGE
    from lab.system.tables import wrap_text

    said = [str(judge_load(record)), *list_remarks(record)]
    lines = [*(line for sentence in said for line in wrap_text(sentence, then="  ")), str(record.folder)]
    if record.interrupted:
        lines.append(str(record.folder / PAGE))
    print_text("\n".join(lines), verdicts=True)
