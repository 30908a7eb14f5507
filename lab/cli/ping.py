"""`xmpplab ping`: one server pings another, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab import exit_codes
from lab.cli.options import FormatOption, LabOption, read_duration
from lab.cli.output import Format, print_json, print_line

if TYPE_CHECKING:
    from lab.runner.pings import PingSeries
    from lab.runner.traces import TraceLine

MOST = 1000  # pings
LONGEST = 60.0  # seconds, of an interval and of the wait for one answer
SHORTEST = 0.01  # seconds


def ping(
    source: Annotated[
        str, typer.Argument(metavar="SERVER", help="Who pings: a server's name or domain.", show_default=False)
    ],
    target: Annotated[
        str,
        typer.Argument(metavar="OTHER", help="Who answers: likewise, or a host of it such as conference.b.test."),
    ],
    count: Annotated[int, typer.Option("--count", "-c", min=1, max=MOST, help="How many pings.")] = 3,
    interval: Annotated[
        str, typer.Option("--interval", "-i", metavar="DURATION", help="From one ping to the next.")
    ] = "1s",
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="DURATION", help="How long an answer may take on fast links.")
    ] = "10s",
    name: LabOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Let one server ping another, and print each step.

    The exit code is 0 if every ping was answered, else 1.
    """
    from lab.cli.entry_point import run_async

    seconds = _read_duration("--interval", interval), _read_duration("--timeout", timeout)
    lines: list[TraceLine] = []
    show = lines.append if output is Format.JSON else lambda line: print_line(str(line), 13)
    lab, series = run_async(_ping(source, target, count, *seconds, name, show))
    if output is Format.JSON:
        print_json(to_json(lab, series, lines))
    else:
        for line in describe(series).splitlines():
            print_line(line, 2)
    raise typer.Exit(exit_codes.VALID if len(series.answered) == len(series.pings) else exit_codes.FAILED)


def _read_duration(option: str, text: str) -> float:
    """Seconds of such a text. Raises UserError for what is no duration, or too short or long."""
    from lab.errors import UserError

    seconds = read_duration(option, text)
    if not SHORTEST <= seconds <= LONGEST:
        raise UserError(f"{option} {text}: use {SHORTEST * 1000:g}ms to {LONGEST:g}s")
    return seconds


async def _ping(
    source: str, target: str, count: int, interval: float, within: float, name: str | None,
    show: Callable[[TraceLine], None],
) -> tuple[str, PingSeries]:  # fmt: skip
    from lab.lifecycle.registry import attach
    from lab.runner.pings import ping

    lab = await attach(name)
    return lab.name, await ping(lab, source, target, count=count, interval=interval, within=within, show=show)


def describe(series: PingSeries) -> str:
    """The last lines: who pinged, how many were answered and how fast; what the route promises where one was not."""
    sent, answered = len(series.pings), len(series.answered)
    by = {"server": "the server itself", "script": "the scripted server"}.get(series.by, series.by)
    said = f"{series.source} to {series.target}, by {by}: {answered} of {sent} answered"
    if figures := series.milliseconds:
        said += f"; {', '.join(f'{name} {value:.1f}' for name, value in figures.items())} ms"
    return said if answered == sent else f"{said}\nwhat this route promises of a message: {series.link.promise}"


def to_json(lab: str, series: PingSeries, lines: list[TraceLine]) -> dict[str, Any]:
    """The same for programs: also each step, and each ping."""
    return {
        "lab": lab,
        "source": series.source,
        "target": series.target,
        "by": series.by,
        "promise": str(series.link.promise),
        "sent": len(series.pings),
        "answered": len(series.answered),
        "milliseconds": series.milliseconds,
        "pings": [{**asdict(one), "answered": one.answered} for one in series.pings],
        "steps": [asdict(one) for one in lines],
    }
