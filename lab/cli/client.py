"""`xmpplab client`: fetch a client program, and open it in a lab, logged in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli.options import ClientArgument, LabOption


def client(
    program: ClientArgument,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- ARGUMENTS...]", help="For the program.", show_default=False),
    ] = None,
    person: Annotated[
        str | None,
        typer.Option("--as", metavar="PERSON", help="alice@a: whose account it logs in to.", show_default=False),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            "--profile", metavar="FOLDER", help="Its home, as `xmpplab profile` makes it.", show_default=False
        ),
    ] = None,
    name: LabOption = None,
) -> None:
    """Open a client program in a lab.

    Its packages are fetched at first use, from Debian or npm; nothing is installed. Its home is empty, in memory, and
    ends with it, unless --profile names one. The exit code is that of the program.
    """
    from lab.cli.entry_point import run_async
    from lab.cli.output import show_progress
    from lab.errors import UserError
    from lab.lifecycle.client_namespace import ClientCommand, become, check_client
    from lab.lifecycle.programs import find_client
    from lab.runtime.debian.clients import ensure_client
    from lab.runtime.lab_record import select_record

    found = find_client(program)
    if profile is not None and not profile.is_dir():
        raise UserError(f"--profile {profile}: there is no such folder; `xmpplab profile` makes one")
    lab = select_record(name, ready=True).name
    check_client(found, lab, person, home=profile is None)
    with show_progress() as progress:
        tree = run_async(ensure_client(found.name, found.packages, progress, found.npm))
    own = tuple(arguments or ())
    become(ClientCommand(lab, own, person, home=profile is None, client=found.name, tree=tree, profile=profile))
