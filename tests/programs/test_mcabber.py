"""mcabber in a lab: OTR with a simulated person on another server, through its FIFO."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lab.lifecycle.lab import Lab
from tests.programs.conversation import converse
from tests.programs.terminal import Terminal

pytestmark = [pytest.mark.clients, pytest.mark.live]
PairOf = Callable[[str, str], Awaitable[Lab]]


@pytest.mark.parametrize(("own", "other"), [("prosody", "ejabberd"), ("ejabberd", "prosody")])
async def test_otr_both_ways(own: str, other: str, pair_of: PairOf, tmp_path: Path) -> None:
    lab = await pair_of(own, other)

    def command(line: str) -> None:
        with (tmp_path / "home/.mcabber/fifo").open("w") as fifo:
            fifo.write(f"{line}\n")

    async with converse(lab, tmp_path, "otr", "a", "b") as talk:
        terminal = Terminal(tmp_path, talk.client("mcabber", tmp_path / "home"))
        try:
            await terminal.shows("[o] " + talk.peer.jid)
            assert (tmp_path / "home/.mcabber/fifo").is_fifo()
            command(f"/roster search {talk.peer.jid}")
            await terminal.type("")  # the conversation is shown
            command(f"/otr start {talk.peer.jid}")
            await terminal.shows("OTR")
            command(f"/say_to {talk.peer.jid} from mcabber, off the record")
            await talk.decrypted("from mcabber, off the record", "otr")
            await talk.peer.send(talk.user, "from bob, off the record")
            await terminal.shows("from bob, off the record")
        finally:
            print(terminal.screen())
            terminal.close()
