"""Profanity in a lab: what simulated people on another server decrypt, and what it shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lab.lifecycle.lab import Lab
from tests.programs.conversation import Conversation, converse
from tests.programs.terminal import DEADLINE, Terminal

pytestmark = [pytest.mark.clients, pytest.mark.live]
PairOf = Callable[[str, str], Awaitable[Lab]]


@asynccontextmanager
async def profanity(talk: Conversation, folder: Path) -> AsyncIterator[Terminal]:
    terminal = Terminal(folder, talk.client("profanity", folder / "home"))
    try:
        await terminal.shows("logged in successfully")
        yield terminal
    finally:
        print(terminal.screen())
        terminal.close()


async def generate_keys(terminal: Terminal) -> None:
    await terminal.type("/omemo gen")
    await terminal.shows("OMEMO cryptographic materials generated")


async def meet(terminal: Terminal, talk: Conversation) -> None:
    """Wait until it has the keys of the person: it says their fingerprint, and says nothing before."""
    until = time.monotonic() + DEADLINE
    while f"{talk.peer.jid}'s OMEMO fingerprint" not in terminal.screen():
        assert time.monotonic() < until, terminal.screen()
        await terminal.type(f"/omemo fingerprint {talk.peer.jid}")
        await asyncio.sleep(0.5)


@pytest.mark.parametrize(("own", "other"), [("ejabberd", "prosody"), ("prosody", "ejabberd")])
async def test_omemo_both_ways(own: str, other: str, pair_of: PairOf, tmp_path: Path) -> None:
    lab = await pair_of(own, other)
    async with (
        converse(lab, tmp_path, "omemo", "a", "b", device_list=own == "prosody") as talk,
        profanity(talk, tmp_path) as terminal,
    ):
        await generate_keys(terminal)
        await talk.keys_of_user()
        await terminal.type(f"/msg {talk.peer.jid}")
        await terminal.type("/omemo start")
        await meet(terminal, talk)
        await terminal.type("from Profanity, encrypted")
        await talk.decrypted("from Profanity, encrypted", "omemo")
        await talk.write_encrypted("from bob, encrypted")
        await terminal.shows("from bob, encrypted")


async def test_otr_both_ways(pair_of: PairOf, tmp_path: Path) -> None:
    lab = await pair_of("prosody", "ejabberd")
    async with converse(lab, tmp_path, "otr", "a", "b") as talk, profanity(talk, tmp_path) as terminal:
        await terminal.type("/otr gen")
        await terminal.shows("Private key generation complete")
        await terminal.type(f"/msg {talk.peer.jid}")
        await terminal.type(f"/otr start {talk.peer.jid}")
        await terminal.shows("OTR session started")
        await terminal.type("from Profanity, off the record")
        await talk.decrypted("from Profanity, off the record", "otr")
        await talk.peer.send(talk.user, "from bob, off the record")
        await terminal.shows("from bob, off the record")


async def test_on_prosody_it_publishes_no_device_list_on_a_new_account(pair_of: PairOf, tmp_path: Path) -> None:
    """It needs an error that repeats its request: the scenario `error_repeats_request` shows the cause."""
    lab = await pair_of("prosody", "ejabberd")
    async with converse(lab, tmp_path, "omemo", "a", "b") as talk, profanity(talk, tmp_path) as terminal:
        await generate_keys(terminal)
        await terminal.type("/omemo fingerprint")
        await asyncio.sleep(5)
        assert await talk.peer.device.published_devices(talk.user) == []
