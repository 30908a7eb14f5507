"""`xmpplab exec`: run a command beside a server, with this terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli.options import LabOption


def exec_(
    server: Annotated[
        str, typer.Argument(metavar="SERVER", help="The server's name in the topology.", show_default=False)
    ],
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND...", help="The command and its arguments.", show_default=False)
    ],
    name: LabOption = None,
) -> None:
    """Run a command in a server's environment. The exit code is that of the command."""
    from lab.cli.entry_point import run_async

    raise typer.Exit(run_async(_execute(server, command, name)))


async def _execute(server: str, command: list[str], name: str | None) -> int:
    from lab.errors import UserError
    from lab.lifecycle.registry import attach

    lab = await attach(name, whole=False)
    names = [each.spec.name for each in lab.plan.servers]
    if server not in names:
        raise UserError(f"no server {server!r} in {lab.name}; there are: {', '.join(names)}")
    return await lab.execute(server, command)
