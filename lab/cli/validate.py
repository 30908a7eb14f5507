"""`xmpplab validate`: report all errors of topologies; nothing is started."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli.output import print_text
from lab.errors import UserError


def validate(
    topologies: Annotated[
        list[str] | None,
        typer.Argument(metavar="TOPOLOGY...", help="Names, files, or shapes such as ring:6.", show_default=False),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--topology", "-t", metavar="TOPOLOGY", help="The same, as other verbs take it.", show_default=False
        ),
    ] = None,
) -> None:
    """Check topologies; nothing is started. Prints one line for each valid topology, and all errors of the others.

    An error is `file:line:column: path: what is wrong, what to change`. Exit code 0 if all are valid, else 64.
    """
    from lab import exit_codes
    from lab.topology.files import load
    from lab.topology.words import count

    sources, wrong = [*(topologies or ()), *(options or ())], list[str]()
    if not sources:
        raise UserError("name a topology, as an argument or with -t, for example: pair, ring:6, or a file")
    for source in sources:
        try:
            topology = load(source)
        except UserError as error:
            wrong.append(str(error))
            continue
        size = f"{count(len(topology.servers), 'server')}, {count(len(topology.links), 'link')}"
        softwares = ", ".join(dict.fromkeys(f"{s.software_name} {s.version}".strip() for s in topology.servers))
        print_text(f"{topology.name}: {size}, unlinked {topology.unlinked}, {softwares}")
    if wrong:
        # Plain lines, so that editors and terminals find the places in them.
        print_text("\n".join(wrong), error=True)
        raise typer.Exit(exit_codes.USAGE)
