"""`xmpplab graph`: draws a topology; nothing is started."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.errors import UserError

# What a file's name says about the drawing wanted.
_SUFFIXES = {".svg": "svg", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".mermaid": "mermaid", ".txt": "terminal"}


def graph(
    topology: Annotated[
        str, typer.Argument(help="A file, the name of a topology that ships with xmpplab, or a shape such as ring:6.")
    ],
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
    by_suffix = _SUFFIXES.get(output.suffix, "terminal") if output is not None else "terminal"
    text = DRAWINGS[asked[0] if asked else by_suffix](load(topology))
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{output}: cannot be written: {error.strerror}") from None
