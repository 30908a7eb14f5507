"""What the verbs stop, start, restart and kill do."""

from __future__ import annotations

from lab.cli.output import print_text

_DONE = {"stop": "has stopped", "start": "accepts streams", "restart": "accepts streams again", "kill": "was killed"}


def change(server: str, action: str, name: str | None) -> None:
    """Change a server of a lab that is up, and say so. Raises UserError, NotReady."""
    from lab.cli.entry_point import run_async

    run_async(_change(server, action, name))
    print_text(f"{server} {_DONE[action]}")


async def _change(server: str, action: str, name: str | None) -> None:
    from lab.lifecycle.faults import change_server
    from lab.lifecycle.registry import attach

    await change_server(await attach(name, whole=False), server, action)
