"""A lab's record and its lock."""

import asyncio
import os
from pathlib import Path

import pytest

from lab.errors import TimedOut, UserError
from lab.lifecycle import down
from lab.network import lab_folder
from lab.plan.layout import Layout
from lab.runtime import lab_record as state
from lab.system.processes import Identity


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setenv("XMPPLAB_HOME", str(tmp_path))
    made = Layout.of("one")
    state.make_root(made)
    return made


def record(**values: object) -> state.LabRecord:
    me = Identity.of(os.getpid())
    assert me is not None
    fields = {"name": "one", "topology": "pair", "runtime": "processes", "phase": state.STARTING, "owned": False}
    return state.LabRecord(**{**fields, "owner": me, "made": 1.0, **values})


def test_a_record_is_read_as_it_was_written(layout: Layout) -> None:
    written = record(phase=state.READY, ready=2.0, unknown=(("a", "b"),))
    written.write(layout)
    assert state.LabRecord.read(layout) == written
    assert layout.state.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{}", '{"format": 99}', '{"format": 1, "name": "one"}'])
def test_an_unreadable_record_is_none(layout: Layout, text: str) -> None:
    layout.state.write_text(text)
    assert state.LabRecord.read(layout) is None


def test_an_identity_is_more_than_a_pid() -> None:
    me = Identity.of(os.getpid())
    assert me is not None
    assert me.alive
    assert not Identity(me.pid, me.started - 1, me.boot).alive


async def test_the_lock_excludes_and_tells_who_holds_it(layout: Layout) -> None:
    record().write(layout)
    async with state.locked(layout):
        with pytest.raises(TimedOut, match=f"process {os.getpid()}, phase starting"):
            async with state.locked(layout, patience=0.1):
                pass
    async with state.locked(layout, patience=0.1):
        pass


async def test_who_waits_for_a_lab_that_ends_finds_none(layout: Layout) -> None:
    async def wait() -> None:
        async with state.locked(layout):
            pass

    async with state.locked(layout):
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0.1)
        lab_folder.remove(layout)
    with pytest.raises(FileNotFoundError):
        await waiting


async def test_who_makes_a_lab_anew_waits_for_the_old_one(layout: Layout) -> None:
    inode = layout.lock.stat().st_ino if layout.lock.exists() else None

    async def make() -> int:
        async with state.locked(layout, make=True):
            return layout.lock.stat().st_ino

    async with state.locked(layout):
        making = asyncio.create_task(make())
        await asyncio.sleep(0.1)
        assert not making.done()
        lab_folder.remove(layout)
    assert await making != inode or inode is None
    assert layout.root.is_dir()


def test_a_home_that_cannot_be_made_says_which_setting_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XMPPLAB_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(UserError, match=r"cannot be made \(Not a directory\): set XMPPLAB_HOME"):
        state.make_root(Layout.of("one"))


async def test_what_is_no_lab_keeps_no_lab_from_ending(layout: Layout) -> None:
    mine = layout.root.parent / "a-thesis"
    mine.mkdir()
    (mine / "text").touch()
    record().write(layout)
    told: list[str] = []
    await down.down_all(progress=told.append)
    assert not layout.root.exists()
    assert (mine / "text").exists() and any("a-thesis is not changed" in each for each in told)
