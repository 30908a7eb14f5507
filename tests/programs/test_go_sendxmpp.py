"""go-sendxmpp in a lab: what it reads is received on another server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lab.lifecycle.lab import Lab
from lab.system.subprocesses import run
from tests.programs.conversation import converse
from tests.programs.terminal import DEADLINE

pytestmark = [pytest.mark.clients, pytest.mark.live]


async def test_what_it_reads_is_received(pair_of: Callable[[str, str], Awaitable[Lab]], tmp_path: Path) -> None:
    async with converse(await pair_of("prosody", "ejabberd"), tmp_path, "plain", "a", "b") as talk:
        command = talk.client("go-sendxmpp", tmp_path / "home", talk.peer.jid)
        code, output = await run(command, given="from a pipe", within=DEADLINE)
        assert code == 0, output
        await talk.received("from a pipe")
