"""A federation in somebody's hand for as long as they want: at a prompt, or in a script that is no scenario.

Nothing is judged. The accounts of people and guests that were made are deleted at the end; those of a server that reads
its accounts from a list can be taken again. A lab that was started for the session ends with it.
"""

from __future__ import annotations

import asyncio
import keyword
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import lab as public
from lab import faults
from lab.errors import LabError
from lab.federation import Federation
from lab.history.recorder import Recorder
from lab.lifecycle.accounts import release
from lab.lifecycle.lab import Lab
from lab.lifecycle.registry import attach
from lab.lifecycle.up import up
from lab.runtime.protocol import Progress
from lab.servers import get_software
from lab.topology.spec import Topology


class ShellSession:
    """A lab, its federation, and the names that code of a session begins with."""

    def __init__(self, lab: Lab, federation: Federation) -> None:
        self.lab, self.federation = lab, federation
        servers = {one.name: one for one in federation.servers if _is_identifier(one.name)}
        self.servers = tuple(servers)  # names under which servers are in the namespace
        others = {name: getattr(public, name) for name in public.__all__ if name not in ("scenario", "record_table")}
        self.namespace: dict[str, Any] = {
            "__name__": "__main__", **servers, **others, "asyncio": asyncio, "faults": faults, "federation": federation
        }  # fmt: skip
        self._ending = AsyncExitStack()

    async def close(self) -> None:
        """End what was begun: devices, accounts, and a lab of its own. Raises what the first of these raises."""
        await self._ending.aclose()


async def open_session(
    name: str | None, topology: Topology | None, runtime: str, progress: Progress, note: Progress
) -> ShellSession:
    """A session on the lab of that name, the only one, or with a topology on one that is started for it.

    Accounts that may be left at its end are told to `note`. Raises as `attach` and `up` do.
    """
    async with AsyncExitStack() as ending:
        if topology is None:
            lab = await attach(name)
        else:
            lab = await up(topology, runtime=runtime, owned=True, progress=progress)
            ending.push_async_callback(lab.down)
        folder = ending.enter_context(tempfile.TemporaryDirectory(prefix="xmpplab-"))
        history = ending.enter_context(Recorder(Path(folder) / "history.jsonl"))
        federation = Federation(lab, history)
        if topology is None:  # an owned lab ends as a whole
            ending.push_async_callback(_delete_accounts, federation, note)
        await ending.enter_async_context(federation)
        session = ShellSession(lab, federation)
        session._ending = ending.pop_all()
        return session
    raise AssertionError("the block above returns or raises")


async def _delete_accounts(federation: Federation, note: Progress) -> None:
    """Delete the accounts that were made, once no device of theirs is connected any more, and give their names free."""
    lab = federation.lab
    for server, user in federation.context.accounts:
        spec = federation.server(server).spec
        operations = get_software(spec.software).deletion([user])
        try:
            await lab.operate(server, operations or ())
        except LabError as error:
            note(f"{user}@{spec.domain} may be left: {error}")
            continue
        await asyncio.to_thread(release, lab.layout, server, user)


def _is_identifier(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)
