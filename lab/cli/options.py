"""Arguments and options that several verbs share, so that they have the same names and help everywhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.output import Format
from lab.errors import UserError


class RuntimeChoice(StrEnum):
    """The runtime of a lab."""

    AUTO = "auto"
    CONTAINERS = "containers"
    PROCESSES = "processes"


TopologyArgument = Annotated[
    str | None,
    typer.Argument(metavar="TOPOLOGY", help="A name, a file, or a shape such as ring:6.", show_default=False),
]
TopologyOption = Annotated[
    str | None,
    typer.Option("--topology", "-t", metavar="TOPOLOGY", help="The same, as other verbs take it.", show_default=False),
]
RunArgument = Annotated[
    Path | None,
    typer.Argument(metavar="[RUN]", help="The folder of a run; the latest by default.", show_default=False),
]
ServerArgument = Annotated[
    str, typer.Argument(metavar="SERVER", help="The server's name in the topology.", show_default=False)
]
ClientArgument = Annotated[
    str,
    typer.Argument(
        metavar="CLIENT",
        help="dino, gajim, pidgin, profanity, converse, mcabber or go-sendxmpp.",
        show_default=False,
    ),
]
RuntimeOption = Annotated[
    RuntimeChoice,
    typer.Option(
        "--runtime", help="Where servers run; auto: containers if a container engine is running, else processes."
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="Output for people, or for programs.")]
FaultsOption = Annotated[
    Path | None,
    typer.Option("--faults", metavar="FILE", help="Declared faults, instead of those of the topology."),
]
NameOption = Annotated[
    str | None, typer.Option("--name", metavar="LAB", help="The lab's name; the topology's by default.")
]
LabOption = Annotated[
    str | None,
    typer.Option("--name", metavar="LAB", help="Which lab; optional if only one is up."),
]
RunsOption = Annotated[Path, typer.Option("--runs", metavar="FOLDER", help="The folder for the runs' folders.")]
RUNS = Path("runs")  # its default
JunitOption = Annotated[
    Path | None,
    typer.Option("--junit", metavar="FILE", help="Write the results as JUnit XML: a suite for each topology."),
]
SummaryOption = Annotated[
    Path | None,
    typer.Option("--summary", metavar="FILE", help="Write the results as Markdown, for the summary of a CI job."),
]

# Of a load, alone or in a study.
UsersOption = Annotated[int, typer.Option("--users", "-u", min=1, help="Users online, over all servers.")]
WarmupOption = Annotated[
    str, typer.Option("--warmup", metavar="DURATION", help="Before the steady state; not measured.")
]
WorkersOption = Annotated[int, typer.Option("--workers", "-w", min=1, help="Processes of the generator.")]
EncryptionOption = Annotated[
    str | None, typer.Option("--encryption", metavar="NAME", help="plain, omemo, omemo:2 or otr.")
]
EncryptionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--encryption", metavar="NAME", help="plain, omemo, omemo:2 or otr; may be given several times, to compare."
    ),
]
BoundsOption = Annotated[
    str | None, typer.Option("--bounds", metavar="BOUNDS", help="Limits for the verdict, such as p99=200ms,loss=0.")
]
FindLimitOption = Annotated[
    str | None,
    typer.Option("--find-limit", metavar="BOUNDS", help="Search the highest rate within p99=…,loss=…"),
]
PinOption = Annotated[bool, typer.Option("--pin", help="Pin servers and generator to separate cores.")]


def one_topology(argument: str | None, option: str | None) -> str:
    """The topology that a command line names, as an argument or with -t. Raises UserError unless it names one."""
    named = [each for each in (argument, option) if each is not None]
    if len(named) != 1:
        raise UserError(
            "name one topology, as an argument or with -t"
            + (f": {named[0]} and {named[1]} are two" if named else ", for example: pair, ring:6, or a file")
        )
    return named[0]


def read_duration(option: str, text: str) -> float:
    """Seconds of what was given to an option. Raises UserError that names it."""
    from lab.declarations.units import parse_duration

    try:
        return parse_duration(text)
    except UserError as error:
        raise UserError(f"{option}: {error}") from None
