"""Encrypted loads on real servers: everything is decrypted, whichever worker has the receiver; what is not is told."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import oldmemo.etree
import pytest

from lab.errors import UserError
from lab.lifecycle import up as labs
from lab.lifecycle.lab import Lab
from lab.load.coordinator.coordinator import CoordinatorCommands
from lab.load.coordinator.provisioning import build_load, make_accounts
from lab.load.job_runner import run_job
from lab.load.metrics.result import Result, merge
from lab.load.metrics.run_folder import LoadOutcome
from lab.load.model.job import Job
from lab.load.model.spec import Load, Shard
from lab.load.worker.encrypted_engine import run
from lab.topology.spec import Link
from tests.load.engine_runs import Told
from tests.load.samples import LOAD
from tests.runtime.helpers import pair

#: Four people on two servers: of two workers one has those of a, the other those of b.
ASKED: dict[str, Any] = {"users": 4, "encryption": "omemo", "arrivals": "10/s", "seconds": 2.0, "warmup": 0.5}
OMEMO = "{eu.siacs.conversations.axolotl}"


@pytest.fixture(scope="module")
async def load(lab: Lab) -> Load:
    whole = build_load(lab, ASKED)
    await make_accounts(lab, whole)
    return whole


class Together:
    """Workers in this process, started and ended as a coordinator does it."""

    def __init__(self, load: Load, workers: int) -> None:
        self.load, self.told = load, [Told() for _ in range(workers)]
        self._drained, self._connected = asyncio.Event(), asyncio.Barrier(workers)
        self._at = 0

    async def _go(self) -> int:
        await self._connected.wait()
        self._at = self._at or time.perf_counter_ns() + 100_000_000
        return self._at

    async def _watch(self) -> None:
        end = self.load.warmup + self.load.seconds + 0.1
        while True:
            last = [told.of("sample")[-1] for told in self.told if told.of("sample")]
            open_ = sum(sum(one["totals"][name] * sign for name, sign in _SIGNS.items()) for one in last)
            if len(last) == len(self.told) and all(one["to"] > end for one in last) and open_ <= 0:
                self._drained.set()
            await asyncio.sleep(0.05)

    async def carry(self) -> Result:
        watching = asyncio.create_task(self._watch())
        try:
            async with asyncio.timeout(60):
                await asyncio.gather(
                    *(
                        run(self.load, Shard(number, len(self.told)), told, go=self._go, drained=self._drained)
                        for number, told in enumerate(self.told)
                    )
                )
        finally:
            watching.cancel()
        assert all(told.ended["drained"] for told in self.told)
        return merge(event for told in self.told for event in told.of("sample"))


_SIGNS = {"expected": 1, "delivered": -1, "bounced": -1}


@pytest.mark.live
@pytest.mark.parametrize(
    "encryption", ["omemo", *(pytest.param(one, marks=pytest.mark.slow) for one in ("omemo:2", "otr"))]
)
async def test_one_worker_decrypts_every_message(encryption: str, lab: Lab, load: Load) -> None:
    load = replace(load, encryption=encryption, libraries=await lab.find_libraries(encryption) or "")
    for _ in range(2):  # again: the devices of the first time must not be encrypted to any more
        told = Told()
        async with asyncio.timeout(60):
            await run(replace(load, seconds=1.0), Shard(), told)
        kinds = [event["event"] for event in told.events]
        assert kinds.index("connected") < kinds.index("started") and kinds[-1] == "ended"
        assert told.ended["drained"] and not told.ended["missing"]
        total = told.result.total
        assert (total.sent, total.received, total.lost, total.bounced.total()) == (10, 10, 0, 0)
        assert total.intended.percentile(50) > 0.001


async def coordinated(job: Job) -> LoadOutcome:
    """The outcome, or what was told until it was late."""
    told: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(90):
            return await run_job(job, CoordinatorCommands(), told.append)
    except TimeoutError:
        pytest.fail("it takes too long; told so far:\n" + "\n".join(str(event)[:300] for event in told[-30:]))


@pytest.mark.live
@pytest.mark.parametrize("arrivals", ["20/s", pytest.param("closed:think=200ms", marks=pytest.mark.slow)])
async def test_people_of_two_workers_read_each_other_both_ways(lab: Lab, load: Load, arrivals: str) -> None:
    """Processes of their own, coordinated: what crosses the link crosses from worker to worker as well."""
    outcome = await coordinated(Job(lab.name, {**ASKED, "users": 6, "arrivals": arrivals}, workers=2))
    assert outcome.settled and outcome.drained and not outcome.missing, outcome
    assert set(outcome.result.routes) == {"a->b", "b->a"}
    for tally in outcome.result.routes.values():
        assert tally.received == tally.sent >= 8
        assert (tally.lost, tally.duplicates, tally.bounced.total()) == (0, 0, 0)
    if arrivals == "20/s":
        assert outcome.result.total.sent == 40


@pytest.mark.containers
@pytest.mark.slow
async def test_people_of_two_workers_in_containers_read_each_other() -> None:
    topology = replace(pair("ejabberd", "prosody"), links=(Link("a", "b", direct=True),))
    lab = await labs.up(topology, runtime="containers", owned=True)
    try:
        outcome = await coordinated(Job(lab.name, ASKED, workers=2))
    finally:
        await lab.down()
    total = outcome.result.total
    assert outcome.settled and outcome.drained, outcome
    assert (total.sent, total.received, total.bounced.total()) == (20, 20, 0)


@pytest.mark.live
async def test_a_load_that_is_stopped_while_people_meet_ends_soon(load: Load) -> None:
    stop, told = asyncio.Event(), Told()

    def tell(event: dict[str, Any]) -> None:
        told(event)
        if event["event"] == "progress":
            stop.set()

    async with asyncio.timeout(60):
        await run(load, Shard(0, 2), tell, stop=stop, drained=stop)
    assert told.ended["expected"] == 0


@pytest.mark.live
async def test_what_was_tampered_with_is_not_decrypted_and_not_lost(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every fourth message to b has another ciphertext than was written; the receiver's worker finds out."""
    written = 0

    def tampered(content: Any, serialize: Any = oldmemo.etree.serialize_message) -> ET.Element:
        nonlocal written
        element: ET.Element = serialize(content)
        payload = element.find(f"{OMEMO}payload")
        if payload is not None and payload.text is not None and len(payload.text) > 50:  # no first message
            written += 1
            if written % 4 == 0:
                payload.text = ("A" if payload.text[0] != "A" else "B") + payload.text[1:]
        return element

    monkeypatch.setattr(oldmemo.etree, "serialize_message", tampered)
    carried = Together(replace(load, warmup=0.0, arrivals="16/s"), 2)
    result = await carried.carry()
    total = result.total
    assert (total.sent, total.received, total.lost, total.duplicates) == (32, 24, 0, 0)
    assert total.bounced == {"not-decrypted": 8}
    by_receiver = {told.ended["worker"]: sum(merge(told.of("sample")).total.bounced.values()) for told in carried.told}
    assert by_receiver[0] + by_receiver[1] == 8


@pytest.mark.live
async def test_a_device_that_a_killed_load_left_behind_is_not_encrypted_to(load: Load) -> None:
    """It stands in the list of its account; what is encrypted to it as well would cost, and count for nothing."""
    from lab.load.worker.encrypted_client import EncryptedClient

    left = EncryptedClient("load1", 0, load.endpoints[0], load, lambda *_: None)
    await left.connect()
    await left.device.disconnect()
    again = EncryptedClient("load1", 0, load.endpoints[0], load, lambda *_: None)
    await again.connect()
    assert len((await again.device.devices(of=again.jid))["ids"]) == 1
    await again.disconnect()


@pytest.mark.live
async def test_too_many_pairs_are_refused_before_the_first_session(load: Load) -> None:
    with pytest.raises(UserError, match=r"at most 1000 sessions for each worker.*take 3 workers"):
        await run(replace(load, users=400, arrivals="400/s", seconds=6.0), Shard(), print)


async def test_what_cannot_be_encrypted_is_refused() -> None:
    with pytest.raises(UserError, match="has archive"):
        await run(replace(LOAD, encryption="omemo", traffic="archive"), Shard(), print)
