"""`xmpplab report`: print the report of a run, a load or a study, from its folder alone; write its page again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import RunArgument
from lab.cli.output import Format, print_load, print_study, print_text
from lab.report.formats import ReportFormat

if TYPE_CHECKING:
    from pathlib import Path


def report(
    run: RunArgument = None,
    output: Annotated[
        ReportFormat, typer.Option("--format", "-f", help="Output for people, or for programs.")
    ] = ReportFormat.TEXT,
) -> None:
    """Print the summary of a run. Verdict, findings, steps, messages by route.

    Of a load or a study its tables and sentences; its page is drawn again.
    """
    from lab.load.analysis.study_folder import STUDY
    from lab.load.model.job import FILE as LOAD
    from lab.runner import folders

    folder = folders.find(run, (folders.HISTORY, LOAD, STUDY))
    if (folder / LOAD).is_file():
        _report_load(folder, _table_or_json(output))
    elif (folder / STUDY).is_file():
        _report_study(folder, _table_or_json(output))
    else:
        _report_run(folder, output)


def _table_or_json(output: ReportFormat) -> Format:
    """The format of a load's or a study's report. Raises UserError if only runs have that format."""
    from lab.errors import UserError

    formats = {ReportFormat.TEXT: Format.TABLE, ReportFormat.JSON: Format.JSON}
    if output not in formats:
        raise UserError(f"--format {output} is for runs; loads and studies have {', '.join(formats)}")
    return formats[output]


def _report_run(folder: Path, output: ReportFormat) -> None:
    from lab.checks import judge
    from lab.report.formats import render
    from lab.runner.judgement import load_record

    record = load_record(folder)
    print_text(render(output, record, judge(record)), end="", verdicts=True)


def _report_load(folder: Path, output: Format) -> None:
    from lab.load.metrics.run_folder import read
    from lab.load.report.html.load_page import write_page

    record = read(folder)
    write_page(folder)
    print_load(record, output)


def _report_study(folder: Path, output: Format) -> None:
    from lab.load.analysis.study_folder import read_study
    from lab.load.report.html.study_page import write_page

    data = read_study(folder)
    write_page(folder)
    print_study(folder, data, output)
