"""Options that several verbs share, so that they are spelt and explained alike."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from lab.cli.show import Format


class RuntimeChoice(StrEnum):
    """How a lab is carried out."""

    AUTO = "auto"
    CONTAINERS = "containers"
    PROCESSES = "processes"


TopologyArgument = Annotated[
    str, typer.Argument(metavar="TOPOLOGY", help="A name, a file, or a shape such as ring:6.", show_default=False)
]
RuntimeOption = Annotated[
    RuntimeChoice,
    typer.Option("--runtime", help="Where servers run; auto takes containers where an engine answers."),
]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="For people, or for programs.")]
NameOption = Annotated[
    str | None, typer.Option("--name", metavar="LAB", help="The lab's name; the topology's by default.")
]
LabOption = Annotated[
    str | None,
    typer.Option("--name", metavar="LAB", help="Which lab; may be left out while only one is up."),
]
