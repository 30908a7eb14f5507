"""`xmpplab down`: end a lab, or all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from lab.cli.output import print_text, show_progress


def down(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[LAB]", help="Which lab; optional if only one is up.", show_default=False),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="End all your labs, except those in use by a run or a test.")
    ] = False,
) -> None:
    """End a lab. Its servers, networks, addresses and folder are removed."""
    from lab.cli.entry_point import run_async
    from lab.errors import UserError

    if every and name:
        raise UserError("give a lab's name or --all, not both")
    with show_progress() as progress:
        ended = run_async(_end(name, every, progress))
    print_text("\n".join(f"{each} has ended" for each in ended) or "no lab was up")


async def _end(name: str | None, every: bool, progress: Callable[[str], None]) -> list[str]:
    from lab.lifecycle.down import down, down_all

    return await down_all(progress=progress) if every else [await down(name, progress=progress)]
