"""Declared faults on real servers, servers that are stopped and come back, and holders that are killed."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import lab.faults
from lab import Federation, scenario, step
from lab.federation import Device
from lab.history.events import Disconnected, Event, FaultApplied, FaultHealed, Step
from lab.history.reader import read
from lab.history.recorder import Recorder
from lab.lifecycle.lab import Lab
from lab.lifecycle.registry import open_lab
from lab.lifecycle.stream_probe import find_certificate
from lab.runner.run import run_scenario
from lab.runner.scenarios import get_info
from lab.topology.faults import read_one
from tests.runtimes import mostly_processes

pytestmark = pytest.mark.live

TAKES = 90.0  # seconds: a server that was refused or reset tries again after some
NOTHING = 1.0  # seconds in which nothing may arrive


def slow(*values: object) -> Any:
    """A variant that runs in `make test-all` only."""
    return pytest.param(*values, marks=pytest.mark.slow)


LabOn = Callable[[str], Awaitable[Lab]]


@scenario(spec="RFC 6120 10.1")
async def two_seconds(federation: Federation) -> None:
    """A message before, one during the faults, one after them."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    await (await alice.send(bob, "before")).outcome()
    with step("the faults act"):
        await asyncio.sleep(0.4)
        during = await alice.send(bob, "during")
        await asyncio.sleep(1.6)
    await during.outcome(TAKES)


@scenario(spec="RFC 6120 10.1")
async def without_a_step(federation: Federation) -> None:
    """A message, and no step."""
    a, b = federation.linked_pair()
    await (await (await a.person()).send(await b.person(), "hello")).outcome()


def events_of(folder: Path, kind: type[Event]) -> list[Any]:
    return [event for event in read(folder / "history.jsonl") if isinstance(event, kind)]


@mostly_processes
async def test_declared_faults_act_from_the_first_step_on_and_are_healed_at_the_end(
    lab_on: LabOn, tmp_path: Path
) -> None:
    faults = [
        read_one({"name": "cut", "action": "partition", "groups": [["a"]], "at": "200ms", "duration": "800ms"}),
        read_one({"name": "slow", "action": "conditions", "delay": "50ms", "at": "1200ms"}),
        read_one({"name": "never", "action": "kill", "at": "5min"}),
    ]
    used = await lab_on("pair")
    result = await run_scenario(get_info(two_seconds), used, runs=tmp_path, faults=faults)
    assert result.value == "valid", result.sentence
    applied, healed = events_of(result.folder, FaultApplied), events_of(result.folder, FaultHealed)
    assert [(one.fault, dict(one.fields)["name"]) for one in applied] == [("partition", "cut"), ("conditions", "slow")]
    assert {one.number for one in healed} == {one.number for one in applied}
    begun = events_of(result.folder, Step)[0].at
    assert applied[0].began >= begun + 0.19 and healed[0].began >= begun + 0.99
    async with used.open_control() as control:
        assert (await control.call("list_faults"))["faults"] == []
        assert {relay["cut"] for relay in (await control.call("status"))["relays"]} == {None}


@mostly_processes
async def test_faults_that_no_step_started_leave_the_verdict_unknown(lab_on: LabOn, tmp_path: Path) -> None:
    faults = [read_one({"action": "partition", "groups": [["a"]]})]
    result = await run_scenario(get_info(without_a_step), await lab_on("pair"), runs=tmp_path, faults=faults)
    assert result.value == "unknown" and "the declared faults were never applied" in result.sentence


@mostly_processes
@pytest.mark.parametrize("action", [slow("stop"), "kill", "pause", slow("restart")])
async def test_a_server_is_away_and_comes_back(lab_on: LabOn, tmp_path: Path, action: str) -> None:
    used = await lab_on("pair")
    with Recorder(tmp_path / "history.jsonl") as recorder:
        async with Federation(used, recorder) as federation:
            a, b = federation.linked_pair()
            alice, bob = await a.person(), await b.person()
            assert (await (await alice.send(bob, "before")).outcome(TAKES)).deliveries
            before = (await used.read_states())["b"].pid
            async with federation.inject(getattr(lab.faults, action)(b)):
                running = (await used.read_states())["b"].running
                assert running == (action in ("pause", "restart"))
                if action != "restart":
                    during = await (await alice.send(bob, "during")).outcome(NOTHING)
                    assert not during.deliveries
            assert ((await used.read_states())["b"].pid == before) == (action == "pause")
            if action != "pause":
                await connected_again(bob.device)
            await delivered(alice, bob)


async def connected_again(device: Device) -> None:
    """The server accepts streams: it accepts this one's at once."""
    await device.connect()


async def delivered(alice: Any, bob: Any) -> None:
    deadline = time.monotonic() + TAKES
    while not (await (await alice.send(bob, "after")).outcome(5.0)).deliveries:  # one may be lost in silence
        assert time.monotonic() < deadline, "no message has been delivered since it was healed"


HOLDER = """
import asyncio, sys
from lab.lifecycle.faults import FaultSession
from lab.lifecycle.registry import attach
from lab.topology.faults import read_one

async def main():
    session = FaultSession(await attach(sys.argv[1]))
    await session.add(read_one({"name": "held-cut", "action": "partition", "groups": [["a"]], "how": "silent"}))
    await session.add(read_one({"name": "held-pause", "action": "pause", "selector": {"server": "b"}}))
    print("held", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@mostly_processes
async def test_what_a_killed_holder_did_is_undone(lab_on: LabOn, tmp_path: Path) -> None:
    used = await lab_on("pair")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, used.name, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(TAKES):
            assert await process.stdout.readline() == b"held\n"
        assert used.runtime.name != "processes" or _stopped(await _pid(used))
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    again = await open_lab(used.layout)
    assert again is not None and again.ended == ()
    async with asyncio.timeout(TAKES), used.open_control() as control:
        since = 0
        while (await control.call("list_faults"))["faults"]:
            events = (await control.call("fault_events", since=since, wait=1))["events"]
            since = events[-1]["number"] if events else since
        assert {relay["cut"] for relay in (await control.call("status"))["relays"]} == {None}
    assert not _stopped(await _pid(used))


async def _pid(used: Lab) -> int:
    pid = (await used.read_states())["b"].pid
    assert pid is not None
    return pid


def _stopped(pid: int) -> bool:
    """Whether a process is stopped, or frozen by its engine (proc(5); cgroups)."""
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    frozen = [line for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines() if ":freezer:" in line]
    folder = Path("/sys/fs/cgroup/freezer") / frozen[0].split(":")[2].lstrip("/") if frozen else None
    if folder is not None and (folder / "freezer.state").is_file():
        return state == "T" or (folder / "freezer.state").read_text().strip() == "FROZEN"
    return state == "T"


@mostly_processes
@pytest.mark.parametrize(
    ("server", "how", "bounces"),
    [
        ("b", "expired", True),
        slow("a", "renewed", False),
        slow("a", "replaced", True),
        slow("b", "replaced", True),
        slow("a", "wrong-name", True),
    ],
)
async def test_a_server_shows_another_certificate(
    lab_on: LabOn, tmp_path: Path, server: str, how: str, bounces: bool
) -> None:
    used = await lab_on("pair,software=prosody+ejabberd")
    with Recorder(tmp_path / "history.jsonl") as recorder:
        async with Federation(used, recorder) as federation:
            a, b = federation.linked_pair()
            alice, bob = await a.person(), await b.person()
            assert (await (await alice.send(bob, "before")).outcome(TAKES)).deliveries
            before = await find_certificate(used.plan.server(server))
            async with federation.inject(lab.faults.certificate(server, how=how)):
                assert await find_certificate(used.plan.server(server)) != before
                if not bounces:
                    assert (await (await alice.send(bob, "the stream stays")).outcome(TAKES)).deliveries
                async with federation.inject(lab.faults.reset_streams(federation.link(a, b))):
                    pass
                if not bounces:
                    await delivered(alice, bob)
                async with asyncio.timeout(TAKES):  # what a server had not noticed to be reset may swallow one
                    while bounces and not (await (await alice.send(bob, "during")).outcome(5.0)).bounces:
                        pass
            await delivered(alice, bob)


@mostly_processes
@pytest.mark.parametrize("resumable", [True, slow(False)])
async def test_a_device_loses_its_connection_and_is_back(lab_on: LabOn, tmp_path: Path, resumable: bool) -> None:
    with Recorder(tmp_path / "history.jsonl") as recorder:
        async with Federation(await lab_on("pair"), recorder) as federation:
            a, b = federation.linked_pair()
            alice, bob = await a.person(), await b.person(resumable=resumable)
            stream = bob.device.stream
            async with federation.inject(lab.faults.client(bob.device)):
                message = await alice.send(bob, "during")
                assert not (await message.outcome(NOTHING)).deliveries
            assert bob.device.connected and (not resumable or bob.device.stream != "" != stream)
            assert (await message.outcome(TAKES)).deliveries
            (applied,) = [one for one in recorder.events if isinstance(one, FaultApplied)]
            assert dict(applied.fields) == {"device": bob.device.jid, "how": "dropped"}
            assert await _arrives_late(federation, alice, bob, lab.faults.client(bob.device, how="stalled"))
            assert await _arrives_late(federation, bob, alice, lab.faults.client(bob.device, how="stalled"))


async def _arrives_late(federation: Federation, sender: Any, receiver: Any, fault: Any) -> bool:
    """Whether a message that is sent during the fault is delivered after it, and not before."""
    async with federation.inject(fault):
        message = await sender.send(receiver, "during")
        early = (await message.outcome(NOTHING)).deliveries
    return not early and bool((await message.outcome(TAKES)).deliveries)


@scenario(spec="RFC 6120 4.4")
async def messages_to_bob(federation: Federation) -> None:
    """A message before, one while the devices of bob are stalled, one while they are gone."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    await (await alice.send(bob, "before")).outcome()
    with step("the faults act"):
        for _ in range(4):
            await (await alice.send(bob, "during")).outcome(TAKES)
            await asyncio.sleep(1.0)


@mostly_processes
async def test_files_name_the_people_whose_devices_lose_their_connections(lab_on: LabOn, tmp_path: Path) -> None:
    faults = [
        read_one({"name": "stalled", "action": "client", "how": "stalled", "selector": {"person": "bob@b"},
                  "duration": "800ms"}),
        read_one({"name": "nobody", "action": "client", "selector": {"person": "carol@b"}, "duration": "800ms"}),
        read_one({"name": "lost", "action": "client", "selector": {"person": ["bob@b"]}, "at": "1300ms",
                  "duration": "500ms"}),
    ]  # fmt: skip
    result = await run_scenario(get_info(messages_to_bob), await lab_on("pair"), runs=tmp_path, faults=faults)
    applied = {dict(one.fields)["name"]: one for one in events_of(result.folder, FaultApplied)}
    assert set(applied) == {"stalled", "nobody", "lost"}, result.sentence
    assert "the scenario has no person carol on b now" in applied["nobody"].error
    assert {name: applied[name].error for name in ("stalled", "lost")} == {"stalled": "", "lost": ""}
    assert dict(applied["lost"].fields)["people"] == "bob@b" and applied["lost"].servers == ("b",)
    healed = {one.number: one for one in events_of(result.folder, FaultHealed)}
    assert [healed[applied[name].number].error for name in ("stalled", "lost")] == ["", ""]
    gone = [one.reason for one in events_of(result.folder, Disconnected)]
    assert gone, "the connection was lost"


@mostly_processes
@pytest.mark.parametrize(
    ("how", "bounces"),
    [
        slow("nxdomain", True),
        slow("servfail", True),
        slow("wrong-srv", True),
        ("failover", False),
    ],
)
async def test_names_are_answered_otherwise(lab_on: LabOn, tmp_path: Path, how: str, bounces: bool) -> None:
    with Recorder(tmp_path / "history.jsonl") as recorder:
        async with Federation(await lab_on("pair"), recorder) as federation:
            a, b = federation.linked_pair()
            alice, bob = await a.person(), await b.person()
            link = federation.link(a, b)
            names, streams = lab.faults.dns(link, how=how), lab.faults.reset_streams(link)
            async with federation.inject(names), federation.inject(streams):
                outcome = await (await alice.send(bob, "during")).outcome(TAKES)
                assert bool(outcome.bounces) == bounces and bool(outcome.deliveries) != bounces
            await delivered(alice, bob)


@pytest.mark.slow
@mostly_processes
async def test_without_an_answer_nothing_is_delivered_and_nothing_goes_around_the_relay(
    lab_on: LabOn, tmp_path: Path
) -> None:
    used = await lab_on("pair")
    with Recorder(tmp_path / "history.jsonl") as recorder:
        async with Federation(used, recorder) as federation:
            a, b = federation.linked_pair()
            alice, bob = await a.person(), await b.person()
            link = federation.link(a, b)
            names, streams = lab.faults.dns(link, how="no-answer"), lab.faults.reset_streams(link)
            async with federation.inject(names), federation.inject(streams):
                assert not (await (await alice.send(bob, "during")).outcome(2 * NOTHING)).deliveries
                before = await _relay(used, a.name, b.name)
            await delivered(alice, bob)
            after = await _relay(used, a.name, b.name)
            assert after["connections"] > before["connections"] and after["open"]


@mostly_processes
async def test_a_slow_answer_delays_the_message(lab_on: LabOn, tmp_path: Path) -> None:
    with Recorder(tmp_path / "history.jsonl") as recorder:
        async with Federation(await lab_on("pair"), recorder) as federation:
            a, b = federation.linked_pair()
            alice, bob = await a.person(), await b.person()
            link = federation.link(a, b)
            await delivered(alice, bob)
            names, streams = lab.faults.dns(link, how="slow", delay="300ms"), lab.faults.reset_streams(link)
            async with federation.inject(names), federation.inject(streams):
                began = time.monotonic()
                assert (await (await alice.send(bob, "during")).outcome(TAKES)).deliveries
                assert time.monotonic() - began >= 0.3


@mostly_processes
@pytest.mark.parametrize("how", ["close", slow("reset")])
async def test_streams_are_ended_and_new_ones_carried(lab_on: LabOn, tmp_path: Path, how: str) -> None:
    used = await lab_on("pair")
    with Recorder(tmp_path / "history.jsonl") as recorder:
        async with Federation(used, recorder) as federation:
            a, b = federation.linked_pair()
            alice, bob = await a.person(), await b.person()
            await delivered(alice, bob)
            before = await _relay(used, a.name, b.name)
            assert before["open"]
            async with federation.inject(lab.faults.reset_streams(federation.link(a, b), direction="to", how=how)):
                pass
            await delivered(alice, bob)
            after = await _relay(used, a.name, b.name)
            assert after["connections"] > before["connections"] and after["open"] and not after["cut"]


async def _relay(used: Lab, source: str, target: str) -> dict[str, Any]:
    async with used.open_control() as control:
        relays = (await control.call("status"))["relays"]
    return next(one for one in relays if (one["source"], one["target"]) == (source, target))


@mostly_processes
async def test_a_flapping_link_holds_messages_until_it_is_up(lab_on: LabOn, tmp_path: Path) -> None:
    with Recorder(tmp_path / "history.jsonl") as recorder:
        async with Federation(await lab_on("pair"), recorder) as federation:
            a, b = federation.linked_pair()
            alice, bob = await a.person(), await b.person()
            await delivered(alice, bob)
            link = federation.link(a, b)
            async with federation.inject(lab.faults.flap(link, down="3s", up="10min")):
                message = await alice.send(bob, "while it is cut")
                began = time.monotonic()
                assert (await message.outcome(TAKES)).deliveries, "the link is up again, and the fault acts still"
                assert time.monotonic() - began >= 1.0
