"""Encrypted loads on real servers: everything is decrypted, nothing readable, and what cannot be carried is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from lab.errors import UserError
from lab.load.encrypted import run
from lab.load.preparing import load_on, make_accounts
from lab.load.results import merge
from lab.load.spec import Load, Share
from lab.runtime import lab as labs
from lab.topology.spec import Link
from tests.runtime.helpers import pair


@pytest.fixture(scope="module")
async def load() -> AsyncIterator[Load]:
    topology = replace(pair("prosody", "ejabberd"), links=(Link("a", "b", direct=True),))
    lab = await labs.up(topology, runtime="processes", owned=True)
    try:
        asked = {"users": 4, "encryption": "omemo", "arrivals": "10/s", "seconds": 2.0, "warmup": 0.5}
        whole = load_on(lab, asked)
        await make_accounts(lab, whole)
        yield whole
    finally:
        await lab.down()


@pytest.mark.live
async def test_every_message_is_decrypted(load: Load) -> None:
    for _ in range(2):  # again: the devices of the first time must not be encrypted to any more
        events: list[dict[str, Any]] = []
        async with asyncio.timeout(60):
            await run(load, Share(), events.append)
        kinds = [event["event"] for event in events]
        assert kinds.index("connected") < kinds.index("started") and kinds[-1] == "ended"
        assert events[-1]["drained"] and not events[-1]["missing"]
        total = merge(
            {name: value for name, value in event.items() if name != "totals"}
            for event in events
            if event["event"] == "sample"
        ).total
        assert (total.sent, total.received, total.lost, total.bounced.total()) == (20, 20, 0, 0)
        assert 0.001 < total.intended.percentile(50) < 1


@pytest.mark.live
async def test_too_many_pairs_are_refused_before_the_first_session(load: Load) -> None:
    with pytest.raises(UserError, match="at most 1000 sessions"):
        await run(replace(load, users=400, arrivals="1000/s", seconds=5.0), Share(), print)


@pytest.mark.parametrize(
    ("change", "share", "says"),
    [({"traffic": "archive"}, Share(), "has archive"), ({}, Share(0, 2), "there are 2 workers")],
)
async def test_what_cannot_be_encrypted_is_refused(change: dict[str, str], share: Share, says: str) -> None:
    from tests.load.samples import LOAD

    with pytest.raises(UserError, match=says):
        await run(replace(LOAD, encryption="omemo", **change), share, print)
