"""Faults between real servers: what they do to messages, and that healing ends it."""

import time
from pathlib import Path

import pytest

from lab.checks import Value, convergence
from lab.errors import NotReceived
from lab.faults import conditions, partition
from lab.federation import Federation
from lab.history.events import FaultApplied, FaultHealed
from lab.history.recorder import Recorder
from lab.metrics.archives import compare_archives
from lab.metrics.device_lists import compare_device_lists
from lab.metrics.record import RunRecord
from tests.runtimes import PROCESSES, mostly_processes

pytestmark = pytest.mark.live

NOTHING = 1.0  # seconds in which nothing may arrive
TAKES = 60.0  # seconds: a server that was refused or reset tries again after some


@pytest.fixture
async def linked(lab_on, tmp_path: Path):
    """Two people on two linked servers, who have written to each other."""
    with Recorder(tmp_path / "history.jsonl") as recorder:
        async with Federation(await lab_on("pair"), recorder) as federation:
            a, b = federation.linked_pair()
            alice, bob = await a.person(), await b.person()
            for sender, receiver in ((alice, bob), (bob, alice)):
                assert (await (await sender.send(receiver, "before")).outcome(TAKES)).deliveries
            yield federation, alice, bob


@mostly_processes
@pytest.mark.parametrize("how", ["blackhole", "silent"])
async def test_messages_wait_while_a_partition_lets_no_byte_pass(linked, how):
    federation, alice, bob = linked
    async with federation.inject(partition([alice.server], how=how)):
        message = await alice.send(bob, "during")
        assert not (await message.outcome(NOTHING)).deliveries
    assert (await message.outcome(TAKES)).deliveries
    applied, healed = (one for one in federation.history.events if isinstance(one, FaultApplied | FaultHealed))
    assert isinstance(applied, FaultApplied)
    assert (applied.fault, applied.servers, applied.error, healed.error) == ("partition", (alice.server.name,), "", "")
    assert dict(applied.fields) == {"groups": alice.server.name, "how": how}


@pytest.mark.parametrize("runtime", [PROCESSES], indirect=True)
async def test_after_a_partition_archives_and_device_lists_agree(lab_on, tmp_path: Path):
    with Recorder(tmp_path / "history.jsonl") as recorder:
        async with Federation(await lab_on("pair"), recorder) as federation:
            a, b = federation.linked_pair()
            alice, bob = await a.person(encryption="omemo"), await b.person(encryption="omemo")
            assert (await (await alice.send(bob, "before")).outcome(TAKES)).deliveries
            async with federation.inject(partition([a], how="blackhole")):
                message = await bob.send(alice, "during", encryption="plain")  # no key can be fetched now
                assert not (await message.outcome(NOTHING)).deliveries
            assert (await message.outcome(TAKES)).deliveries
            await federation.settle()
            record = RunRecord(tuple(federation.history.events), federation.context.lab.plan)
    (healed,) = record.of(FaultHealed)
    copies = list(compare_archives(record, healed.at))
    assert {one.sent.message: set(one.holding) for one in copies if not one.lacking} == {
        sent.message: {alice.jid, bob.jid} for _, sent in record.messages
    }
    lists = list(compare_device_lists(record, healed.at))
    assert {(one.owner, one.held): one.agree for one in lists} == {
        (one.jid, (one.device.omemo_device,)): True for one in (alice, bob)
    }
    verdict = convergence.check(record)
    assert (verdict.value, verdict.judged) == (Value.VALID, 4), verdict


@mostly_processes
@pytest.mark.parametrize("how", ["reset", "refuse"])
async def test_messages_come_back_while_a_partition_breaks_connections(linked, how):
    federation, alice, bob = linked
    async with federation.inject(partition([alice.server], how=how)):
        await alice.ping(bob.server, reached=False)
        during = await (await alice.send(bob, "during")).outcome(TAKES)
        assert during.bounces and not during.deliveries
        with pytest.raises(NotReceived, match="did not answer a ping"):
            await alice.ping(bob.server, within=1.0)
    await alice.ping(bob.server)
    assert (await (await alice.send(bob, "after")).outcome(TAKES)).deliveries


@mostly_processes
async def test_a_link_has_at_least_the_latency_of_its_conditions(linked):
    federation, alice, bob = linked
    link = federation.link(alice.server, bob.server)
    async with federation.inject(conditions(link, latency="700ms", direction="to")):
        began = time.monotonic()
        assert (await (await alice.send(bob, "slow")).outcome(TAKES)).deliveries
        assert time.monotonic() - began >= 0.7
    async with federation.lab.open_control() as control:
        relays = (await control.call("status"))["relays"]
    assert {(relay["latency"], relay["cut"]) for relay in relays} == {(0.0, None)}
