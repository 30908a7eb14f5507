"""Faults that a process which holds a lab carries out itself: another process has them healed by it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from stat import S_IMODE
from types import SimpleNamespace
from typing import Any

import pytest

from lab.errors import PeerError, UserError
from lab.lifecycle.faults import FaultSession, heal_held, list_held, undo_abandoned
from lab.system.processes import Identity
from lab.topology.faults import read_one
from lab.topology.files import load

DEADLINE = 60.0


class Servers:
    """What is done to servers in containers."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.pausing, self.go_on = asyncio.Event(), asyncio.Event()
        self.go_on.set()

    async def pause(self, server: str) -> None:
        self.done.append(f"pause {server}")

    async def resume(self, server: str) -> None:
        self.pausing.set()
        await self.go_on.wait()
        self.done.append(f"resume {server}")

    async def runs(self, server: str) -> bool:
        return True


class HeldLab:
    """A lab in containers, as far as faults need it."""

    name = "held"

    def __init__(self, root: Path) -> None:
        self.servers = Servers()
        self.plan, self.layout = SimpleNamespace(topology=load("pair")), SimpleNamespace(root=root)
        self.runtime = SimpleNamespace(name="containers", build_server_control=lambda layout, plan: self.servers)

    @property
    def left(self) -> list[str]:
        """Files that tell others of what is held."""
        return [path.name for path in (self.layout.root / "held").glob("*")]


@pytest.fixture
def held(tmp_path: Path) -> Any:
    return HeldLab(tmp_path)


def pause(server: str) -> Any:
    return read_one({"name": f"pause-{server}", "action": "pause", "selector": {"server": server}})


async def test_one_fault_is_healed_by_its_holder(held: Any) -> None:
    async with FaultSession(held) as session:
        await session.add(pause("a"))
        await session.add(pause("b"))
        (socket,) = (held.layout.root / "held").glob("*.sock")
        assert S_IMODE(socket.stat().st_mode) == 0o600
        assert await heal_held(held.layout, "pause-a") == ["pause-a"]
        assert held.servers.done == ["pause a", "pause b", "resume a"]
        assert [one["name"] for one in list_held(held.layout)] == ["pause-b"]
        async with asyncio.timeout(DEADLINE):
            await session.wait_until_over("pause-a")
        assert await heal_held(held.layout, "pause-a") == [], "it is nobody's any more"
    assert held.servers.done[-1] == "resume b" and held.left == []


async def test_all_holders_heal_all_of_theirs(held: Any) -> None:
    async with FaultSession(held) as one, FaultSession(held) as other:
        await one.add(pause("a"))
        await other.add(pause("b"))
        assert sorted(await heal_held(held.layout, None)) == ["pause-a", "pause-b"]
        assert list_held(held.layout) == []
    assert sorted(held.servers.done) == ["pause a", "pause b", "resume a", "resume b"], "each once"
    assert held.left == []


async def test_who_asked_has_an_answer_before_the_holder_ends(held: Any) -> None:
    """As `fault add` does, which ends once its fault is over."""
    held.servers.go_on.clear()

    async def hold() -> None:
        async with FaultSession(held) as session:
            await session.add(pause("a"))
            await session.wait_until_over("pause-a")

    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        holder = tasks.create_task(hold())
        while not any(name.endswith(".sock") for name in held.left):  # noqa: ASYNC110 - of files
            await asyncio.sleep(0.01)
        asked = tasks.create_task(heal_held(held.layout, "pause-a"))
        await held.servers.pausing.wait()
        held.servers.go_on.set()
        await holder
    assert asked.result() == ["pause-a"] and held.left == []


async def test_a_holder_that_does_not_answer_is_named(held: Any) -> None:
    folder = held.layout.root / "held"
    folder.mkdir()
    note = {"holder": Identity.own().to_json(), "servers": {}, "faults": [{"name": "pause-a"}]}
    (folder / "1-2.json").write_text(json.dumps(note))
    with pytest.raises(PeerError, match=rf"pause-a: process {note['holder']['pid']}.*`kill -INT"):
        await heal_held(held.layout, "pause-a")
    assert await heal_held(held.layout, "pause-b") == []


HOLDER = """
import asyncio, sys
from pathlib import Path
from lab.lifecycle.faults import FaultSession
from tests.lifecycle.test_faults import HeldLab, pause

async def main():
    session = FaultSession(HeldLab(Path(sys.argv[1])))
    await session.add(pause("a"))
    print("held", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_nothing_is_left_of_a_holder_that_was_killed(held: Any) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(held.layout.root), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None and await process.stdout.readline() == b"held\n"
        assert len(held.left) == 2
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    assert await heal_held(held.layout, None) == []
    assert await undo_abandoned(held.layout, held.plan, held.runtime) == [
        "a is as it was: what had changed it was killed"
    ]
    assert held.servers.done == ["resume a"] and held.left == []


async def test_a_fault_that_could_not_be_is_not_waited_for(held: Any) -> None:
    async with FaultSession(held) as session:
        with pytest.raises(UserError):
            await session.add(pause("nobody"))
        async with asyncio.timeout(DEADLINE):
            await session.wait_until_over("pause-nobody")
    assert held.left == []
