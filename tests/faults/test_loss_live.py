"""Packets that the kernel drops: messages arrive all the same, and nothing is left of a lab that was killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lab import Federation
from lab.errors import PeerError
from lab.faults import conditions
from lab.history.recorder import Recorder
from lab.lifecycle.down import down
from lab.lifecycle.faults import FaultSession
from lab.lifecycle.lab import Lab
from lab.lifecycle.up import up
from lab.system.packet_filter import Drop, PacketFilter, find_filter_problem
from lab.system.processes import Identity
from lab.system.subprocesses import build_search_path
from lab.topology.faults import read_one
from tests.runtime.helpers import pair, unique, until

pytestmark = pytest.mark.live

TAKES = 120.0  # seconds: TCP waits longer before each time that it sends a packet again
MOST = 200  # messages until a packet has been dropped: of 30% none in 200 would be luck of 1 in 10^30


@pytest.fixture(autouse=True)
def packet_filter() -> None:
    """Where packets cannot be dropped these tests are skipped."""
    if problem := find_filter_problem():
        pytest.skip(f"packets cannot be dropped: {problem}")


def nft(*words: str) -> str:
    environment = {**os.environ, "PATH": build_search_path()}
    return subprocess.run(["nft", *words], capture_output=True, text=True, check=True, env=environment).stdout


def tables(lab: str) -> list[str]:
    return re.findall(rf"table inet (xmpplab-{lab}-[0-9]+)$", nft("list", "tables"), re.MULTILINE)


def dropped(lab: str) -> int:
    (table,) = tables(lab)
    return sum(map(int, re.findall(r"counter packets ([0-9]+) ", nft("list", "table", "inet", table))))


@pytest.mark.parametrize("runtime", ["processes"], indirect=True, scope="session")
async def test_packets_are_dropped_and_messages_arrive(lab_on: Callable[[str], Awaitable[Lab]], tmp_path: Path) -> None:
    used = await lab_on("pair")
    with Recorder(tmp_path / "history.jsonl") as recorder:
        async with Federation(used, recorder) as federation:
            a, b = federation.linked_pair()
            alice, bob = await a.person(), await b.person()
            async with federation.inject(conditions((a, b), loss="30%")):
                for _ in range(MOST):
                    assert (await (await alice.send(bob, "through")).outcome(TAKES)).deliveries
                    if dropped(used.name):
                        break
                assert dropped(used.name) > 0
                assert (await (await bob.send(alice, "back")).outcome(TAKES)).deliveries
            assert tables(used.name) == []


async def test_an_error_says_that_packets_were_not_dropped_any_more() -> None:
    held = PacketFilter(f"xmpplab-test-{os.getpid()}")
    drop = Drop("127.0.0.1", 1, arriving=True, share=0.5)
    try:
        with pytest.raises(PeerError, match="nft refuses a rule: Error"):
            await held.set([Drop("no address", 1, arriving=True, share=0.5)])
        with pytest.raises(PeerError, match="nft was ended"):
            await held.set([drop])
        await held.set([drop])
        assert len(tables("test")) == 1
    finally:
        await held.close()
    assert tables("test") == []


async def test_nothing_is_left_when_the_service_is_killed() -> None:
    name = unique("loss")
    lab = await up(pair(), runtime="processes", name=name)
    try:
        async with FaultSession(lab) as session:
            await session.add(read_one({"action": "conditions", "loss": "5%"}), keep=True)
        assert len(tables(name)) == 1
        holder = Identity.from_json(json.loads(lab.layout.service.read_text()))
        os.kill(holder.pid, signal.SIGKILL)
        until(lambda: tables(name) == [])
    finally:
        await down(name)
