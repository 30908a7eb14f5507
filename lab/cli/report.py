"""`xmpplab report`: print what a run came to, from its folder alone."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from lab.cli.check import RunArgument


class ReportFormat(StrEnum):
    """For people, or for programs."""

    TEXT = "text"
    JSON = "json"


def report(
    run: RunArgument = None,
    output: Annotated[
        ReportFormat, typer.Option("--format", "-f", help="For people, or for programs.")
    ] = ReportFormat.TEXT,
) -> None:
    """Print the summary of a run. Verdict, findings, steps, messages by route."""
    import json

    from lab.checks import judge
    from lab.report import load, summary, to_json
    from lab.runner import folders

    record = load(folders.find(run))
    judgement = judge(record)
    if output is ReportFormat.JSON:
        print(json.dumps(to_json(record, judgement), indent=2))
    else:
        print(summary(record, judgement), end="")
