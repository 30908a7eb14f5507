"""`xmpplab profile`: write the configuration of a client program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli.options import ClientArgument, LabOption
from lab.cli.output import print_text


def profile(
    program: ClientArgument,
    person: Annotated[
        str, typer.Argument(metavar="PERSON", help="alice@a: whose account it logs in to.", show_default=False)
    ],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Its home: a new folder.", show_default=False)],
    name: LabOption = None,
) -> None:
    """Write the configuration of a client program.

    FOLDER has the password in it, for its owner only. What the program writes there, keys and messages, stays.
    """
    import shlex

    from lab.lifecycle.accounts import find_account, read_view
    from lab.lifecycle.programs import find_client
    from lab.lifecycle.programs.program import write_profile
    from lab.plan.layout import Layout
    from lab.runtime.lab_record import select_record

    found = find_client(program)
    layout = Layout.of(select_record(name, ready=True).name)
    account = find_account(layout, read_view(layout), person)
    write_profile(found, account, folder)
    start = f"--name {layout.name} --as {shlex.quote(f'{account.user}@{account.server.name}')}"
    home = shlex.quote(str(folder.absolute()))
    print_text(
        f"{folder} is a home of {found.name} that logs in as {account.jid}.\n"
        f"\n# its packages, fetched\nxmpplab client {found.name} {start} --profile {home}"
    )
    if not found.npm:
        command = shlex.join(found.build_command(folder.absolute()))
        print_text(f"\n# the one of this machine\nxmpplab with {start} -- env HOME={home} {command}")
