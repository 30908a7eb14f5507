"""`xmpplab person`: make an account on a lab that is up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import FormatOption, LabOption
from lab.cli.output import Format, print_client_lines, print_json, print_text

if TYPE_CHECKING:
    from lab.lifecycle.lab import Lab
    from lab.plan.client_view import Account


def person(
    address: Annotated[
        str,
        typer.Argument(
            metavar="PERSON", help="NAME@SERVER, with the server's name or its domain: alice@a.", show_default=False
        ),
    ],
    password: Annotated[
        str | None,
        typer.Option("--password", metavar="PASSWORD", help="Its password; the lab's by default.", show_default=False),
    ] = None,
    name: LabOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Make an account on a lab that is up.

    Command lines of clients that log in are printed.
    """
    from lab.cli.entry_point import run_async

    lab, account = run_async(_create(address, password, name))
    if output is Format.JSON:
        print_json(
            {
                "lab": lab.name, "jid": account.jid, "address": account.server.address,
                "client_port": account.server.client_port, "secret": {"password": account.password},
            }
        )  # fmt: skip
        return
    print_text(f"{account.jid} is an account of {lab.name}; its server is at {account.server.address}.")
    print_text(f"Its password: xmpplab env --name {lab.name}" if password is None else "Its password is the given one.")
    print_client_lines(lab.layout, account)


async def _create(address: str, password: str | None, name: str | None) -> tuple[Lab, Account]:
    from lab.federation.jids import prepare_localpart
    from lab.lifecycle.accounts import create_account, read_view
    from lab.lifecycle.registry import attach

    lab = await attach(name)
    view = read_view(lab.layout)
    user, server = view.split_person(address)
    prepared = f"{prepare_localpart(user)}@{server.name}"
    return lab, await create_account(lab, view, prepared, password)
