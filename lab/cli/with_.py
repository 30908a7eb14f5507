"""`xmpplab with`: run any program in a lab's names, with its authority trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import LabOption, RuntimeChoice, RuntimeOption

if TYPE_CHECKING:
    from lab.lifecycle.lab import Lab


def with_(
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND...", help="The program and its arguments.", show_default=False)
    ],
    name: LabOption = None,
    topology: Annotated[
        str | None,
        typer.Option(
            "--topology", "-t", metavar="TOPOLOGY", help="Start such a lab for the program.", show_default=False
        ),
    ] = None,
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    person: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="PERSON", help="alice@a: set XMPPLAB_JID and XMPPLAB_PASSWORD.", show_default=False
        ),
    ] = None,
    home: Annotated[bool, typer.Option("--home", help="Give it an empty home folder, in memory.")] = False,
) -> None:
    """Run a program in the names and the trust of a lab.

    With -t a lab is started for it, which ends when the program does. The exit code is that of the program.
    """
    from lab.errors import UserError
    from lab.lifecycle.client_namespace import ClientCommand, become, check_namespaces, find_program
    from lab.runtime.lab_record import select_record

    if topology is not None:
        if name is not None:
            raise UserError("--name is a lab that is up, -t starts one: use one of the two")
        find_program(command[0])
        check_namespaces()
        raise typer.Exit(_run_in_own_lab(topology, runtime.value, tuple(command), person, home))
    become(ClientCommand(select_record(name, ready=True).name, tuple(command), person, home))


def _run_in_own_lab(topology: str, runtime: str, argv: tuple[str, ...], person: str | None, home: bool) -> int:
    from lab.cli.entry_point import run_async
    from lab.cli.output import make_plain_progress
    from lab.federation.jids import prepare_localpart
    from lab.lifecycle.accounts import create_account, exists, read_view
    from lab.lifecycle.client_namespace import ClientCommand
    from lab.lifecycle.foreground import run
    from lab.lifecycle.up import up
    from lab.plan.client_view import split_person
    from lab.topology.files import load

    wanted = load(topology)
    if person is not None:
        split_person(person, wanted.servers, f"the topology {wanted.name}")  # before it is started

    async def provide_account(lab: Lab, person: str) -> None:
        view = read_view(lab.layout)
        user, server = view.split_person(person)
        user = prepare_localpart(user)
        if not exists(lab.layout, server, user):
            await create_account(lab, view, f"{user}@{server.name}")

    async def start_and_run() -> int:
        lab = await up(wanted, runtime=runtime, owned=True, progress=make_plain_progress())
        try:
            if person is not None:
                await provide_account(lab, person)
            return await run(ClientCommand(lab.name, argv, person, home))
        finally:
            await lab.down()

    return run_async(start_and_run())
