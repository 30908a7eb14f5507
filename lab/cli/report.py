"""`xmpplab report`: print the report of a run, a load or a study, from its folder alone; write its page again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.options import RunArgument
from lab.cli.output import Format, open_page, print_load, print_study, print_text, write_output
from lab.report.formats import ReportFormat


def report(
    run: RunArgument = None,
    output: Annotated[
        ReportFormat, typer.Option("--format", "-f", help="Output for people, or for programs.")
    ] = ReportFormat.TEXT,
    file: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write, instead of standard output.")
    ] = None,
    open_: Annotated[
        bool, typer.Option("--open", help="Open the page in a browser, in place of printing the report.")
    ] = False,
) -> None:
    """Print the summary of a run. Verdict, findings, steps, messages by route.

    Of a load or a study its tables and sentences. --open writes the page again and shows it.
    """
    from lab.errors import UserError
    from lab.load.analysis.study_folder import STUDY
    from lab.load.model.job import FILE as LOAD
    from lab.runner import folders

    folder = folders.find(run, (folders.HISTORY, LOAD, STUDY))
    if file is not None and not (folder / folders.HISTORY).is_file():
        raise UserError("--output is for runs; the page of a load or a study lies in its folder")
    if open_ and file is not None:
        raise UserError("--open and --output exclude each other: the page lies in the run's folder")
    if open_:
        open_page(_write_page(folder))
    elif (folder / LOAD).is_file():
        _report_load(folder, _table_or_json(output))
    elif (folder / STUDY).is_file():
        _report_study(folder, _table_or_json(output))
    else:
        _report_run(folder, output, file)


def _write_page(folder: Path) -> Path:
    """Write the page of a run, a load or a study; its path."""
    from lab.checks import judge
    from lab.load.analysis.study_folder import STUDY
    from lab.load.model.job import FILE as LOAD
    from lab.load.report.html import load_page, study_page
    from lab.report.html import run_page
    from lab.runner.judgement import load_record

    if (folder / LOAD).is_file():
        return load_page.write_page(folder)
    if (folder / STUDY).is_file():
        return study_page.write_page(folder)
    record = load_record(folder)
    return run_page.write_page(folder, record, judge(record))


def _table_or_json(output: ReportFormat) -> Format:
    """The format of a load's or a study's report. Raises UserError if only runs have that format."""
    from lab.errors import UserError

    formats = {ReportFormat.TEXT: Format.TABLE, ReportFormat.JSON: Format.JSON}
    if output not in formats:
        raise UserError(f"--format {output} is for runs; loads and studies have {', '.join(formats)}")
    return formats[output]


def _report_run(folder: Path, output: ReportFormat, file: Path | None) -> None:
    from lab.checks import judge
    from lab.errors import UserError
    from lab.report.formats import render
    from lab.runner.judgement import load_record

    record = load_record(folder)
    content = render(output, record, judge(record))
    if file is not None:
        write_output(file, content, private=True)
    elif isinstance(content, str):
        print_text(content, end="", verdicts=True)
    elif sys.stdout.isatty():
        raise UserError(f"--format {output} is not text: give a file with --output")
    else:
        sys.stdout.buffer.write(content)


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
