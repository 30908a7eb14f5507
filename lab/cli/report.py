"""`xmpplab report`: print what a run, a load or a study came to, from its folder alone; pages are drawn again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.check import RunArgument
from lab.report.formats import ReportFormat

if TYPE_CHECKING:
    from pathlib import Path


def report(
    run: RunArgument = None,
    output: Annotated[
        ReportFormat, typer.Option("--format", "-f", help="For people, or for programs.")
    ] = ReportFormat.TEXT,
) -> None:
    """Print the summary of a run. Verdict, findings, steps, messages by route.

    Of a load or a study its tables and sentences; its page is drawn again.
    """
    from lab.load.model.job import FILE as LOAD
    from lab.load.report.study import STUDY
    from lab.runner import folders

    folder = folders.find(run, (folders.HISTORY, LOAD, STUDY))
    as_json = output is ReportFormat.JSON
    if (folder / LOAD).is_file():
        _load(folder, as_json)
    elif (folder / STUDY).is_file():
        _study(folder, as_json)
    else:
        _run(folder, output)


def _run(folder: Path, chosen: ReportFormat) -> None:
    from lab.checks import judge
    from lab.report.formats import render
    from lab.runner.judgement import load_record

    record = load_record(folder)
    print(render(chosen, record, judge(record)), end="")


def _load(folder: Path, as_json: bool) -> None:
    from lab.cli.loading import tell
    from lab.load.metrics.run_folder import read
    from lab.load.report.html.load_page import write_page

    kept = read(folder)
    write_page(folder)
    tell(kept, json=as_json)


def _study(folder: Path, as_json: bool) -> None:
    from lab.cli.studying import tell
    from lab.load.report.html.study_page import write_page
    from lab.load.report.study import read

    data = read(folder)
    write_page(folder)
    tell(folder, data, json_only=as_json)
