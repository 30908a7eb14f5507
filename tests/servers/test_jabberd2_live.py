"""jabberd2, a server of one's own that comes with the lab, beside the servers that it knows."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from lab.faults import kill
from lab.federation import Federation
from lab.history.recorder import Recorder
from lab.testing.session_labs import SessionLabs

pytestmark = [pytest.mark.live, pytest.mark.slow]
PATIENCE = 60.0


async def test_it_federates_with_both_and_ends_whole(tmp_path: Path) -> None:
    """Messages reach and leave it; when its script is killed, none of its four programs is left."""
    labs = SessionLabs("processes")
    try:
        used = await labs.get("jabberd2")
        with Recorder(tmp_path / "history.jsonl") as recorder:
            async with Federation(used, recorder) as federation:
                j = federation.server("j")
                old = await j.person()
                for other in (federation.server("a"), federation.server("b")):
                    person = await other.person()
                    for message in (await old.send(person, "from j"), await person.send(old, "to j")):
                        assert (await message.outcome(PATIENCE)).deliveries, str(message)
                await old.disconnect()
                async with federation.inject(kill(j)):
                    for port in (5222, 5269, 5347):
                        await _closed(used.plan.server("j").address, port)
    finally:
        await labs.close()


async def _closed(address: str, port: int) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            _, writer = await asyncio.open_connection(address, port)
        except ConnectionRefusedError:
            return
        writer.close()
        assert time.monotonic() < until, f"{address}:{port} is still open"
        await asyncio.sleep(0.1)
