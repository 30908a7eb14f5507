"""`xmpplab graph`: draws a topology; nothing is started."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli.options import TopologyArgument
from lab.errors import UserError

# What a file's name says about the drawing wanted.
_SUFFIXES = {".svg": "svg", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".mermaid": "mermaid", ".txt": "terminal"}


def graph(
    topology: TopologyArgument,
    *,
    mermaid: Annotated[
        bool, typer.Option("--mermaid", help="Mermaid text, which code hosts draw in Markdown.")
    ] = False,
    dot: Annotated[bool, typer.Option("--dot", help="Graphviz text.")] = False,
    svg: Annotated[bool, typer.Option("--svg", help="A picture of its own.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write; its suffix says what to draw if nothing else does."),
    ] = None,
) -> None:
    """Draw a topology. Who may federate with whom, what the links are like, how central the hub is.

    Without an option it is drawn for the terminal.
    """
    from lab.report.graph import DRAWINGS
    from lab.topology.files import load

    asked = [name for name, wanted in (("mermaid", mermaid), ("dot", dot), ("svg", svg)) if wanted]
    if len(asked) > 1:
        raise UserError(f"--{asked[0]} and --{asked[1]} are two drawings: ask for one")
    text = DRAWINGS[asked[0] if asked else _by_suffix(output)](load(topology))
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{output}: cannot be written: {error.strerror}") from None


def _by_suffix(output: Path | None) -> str:
    """The drawing that a file's name asks for. Raises UserError where it asks for one that there is not."""
    suffix = output.suffix if output else ""
    if suffix and suffix not in _SUFFIXES:
        raise UserError(
            f"{output}: there is no drawing for {suffix}: choose one of {', '.join(_SUFFIXES)}, or an option"
        )
    return _SUFFIXES.get(suffix, "terminal")
