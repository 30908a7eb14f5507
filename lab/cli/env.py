"""`xmpplab env`: what programs need to know of a lab that is up, as variables or as JSON."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from lab.cli.options import LabOption
from lab.cli.output import print_json, print_text


class Syntax(StrEnum):
    """How the variables are written."""

    SHELL = "shell"
    DOTENV = "dotenv"
    JSON = "json"


def env(
    name: LabOption = None,
    output: Annotated[
        Syntax, typer.Option("--format", "-f", help="Variables for a shell or for a .env file, or JSON.")
    ] = Syntax.SHELL,
) -> None:
    """Print what programs need to know of a lab.

    Servers, accounts, passwords, authority and name server. The output has passwords in it.
    """
    from lab.lifecycle.accounts import list_accounts, read_view
    from lab.lifecycle.client_environment import describe_lab, format_variables, list_variables
    from lab.plan.layout import Layout
    from lab.runtime.lab_record import select_record

    layout = Layout.of(select_record(name, ready=True).name)
    view = read_view(layout)
    accounts = list_accounts(layout, view)
    if output is Syntax.JSON:
        print_json(describe_lab(layout, view, accounts))
        return
    variables = list_variables(layout, view, accounts)
    print_text(format_variables(variables, export=output is Syntax.SHELL), end="")
