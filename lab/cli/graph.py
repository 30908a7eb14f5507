"""`xmpplab graph`: draw a topology; nothing is started."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli.options import TopologyArgument, TopologyOption, one_topology
from lab.cli.output import print_text, write_output
from lab.errors import UserError


def graph(
    topology: TopologyArgument = None,
    *,
    option: TopologyOption = None,
    mermaid: Annotated[
        bool, typer.Option("--mermaid", help="Mermaid text, which code hosting sites show as a drawing in Markdown.")
    ] = False,
    dot: Annotated[bool, typer.Option("--dot", help="Graphviz text.")] = False,
    svg: Annotated[bool, typer.Option("--svg", help="An SVG image.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write; without another option its suffix selects the format."),
    ] = None,
) -> None:
    """Draw a topology.

    Shows which servers may federate, the conditions of the links, and how central the hub is.

    Without an option the drawing is text for the terminal.
    """
    from lab.report.graph import GRAPH_FORMATS
    from lab.topology.files import load

    asked = [name for name, wanted in (("mermaid", mermaid), ("dot", dot), ("svg", svg)) if wanted]
    if len(asked) > 1:
        raise UserError(f"--{asked[0]} and --{asked[1]} exclude each other: give one of them")
    text = GRAPH_FORMATS[asked[0] if asked else _by_suffix(output)].draw(load(one_topology(topology, option)))
    if output is None:
        print_text(text, end="")
        return
    write_output(output, text)


def _by_suffix(output: Path | None) -> str:
    """The format that the suffix of a file's name asks for. Raises UserError if there is none of that suffix."""
    from lab.report.graph import GRAPH_FORMATS

    suffix = output.suffix if output else ""
    if not suffix:
        return "terminal"
    suffixes = {suffix: name for name, one in GRAPH_FORMATS.items() for suffix in one.suffixes}
    if suffix not in suffixes:
        raise UserError(
            f"{output}: there is no drawing for {suffix}: choose one of {', '.join(suffixes)}, or an option"
        )
    return suffixes[suffix]
