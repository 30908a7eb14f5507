"""`xmpplab send`: one message, and each hop of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lab import exit_codes
from lab.cli.options import LabOption
from lab.cli.output import print_line, print_text

if TYPE_CHECKING:
    from lab.runner.message_trace import TraceResult


def send(
    sender: Annotated[
        str,
        typer.Argument(metavar="SENDER", help="alice@a: a name, and a server's name or domain.", show_default=False),
    ],
    receiver: Annotated[str, typer.Argument(metavar="RECEIVER", help="bob@b.", show_default=False)],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is written.", show_default=False)],
    encryption: Annotated[
        str, typer.Option("--encryption", "-e", metavar="NAME", help="plain, omemo, omemo-dr, omemo:2 or otr.")
    ] = "plain",
    name: LabOption = None,
) -> None:
    """Send a message and print each of its hops.

    Both people log in; who has no account gets one. The exit code is 0 if the message has the outcome that the route
    between the two servers promises, else 1.
    """
    from lab.cli.entry_point import run_async

    result = run_async(_send(sender, receiver, text, encryption, name))
    print_text(f"{result.message.encryption}: {result.outcome}; promised: {result.message.promise}")
    raise typer.Exit(exit_codes.VALID if result.as_promised else exit_codes.FAILED)


async def _send(sender: str, receiver: str, text: str, encryption: str, name: str | None) -> TraceResult:
    from lab.lifecycle.registry import attach
    from lab.runner.message_trace import send

    return await send(await attach(name), sender, receiver, text, encryption, lambda line: print_line(line, 13))
