"""What a sweep, or the end of a lab, must leave alone; and what must not keep a lab from stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.cli import entry_point
from lab.errors import UserError
from lab.lifecycle import down, runtimes
from lab.lifecycle.cleanup import _is_absent, sweep
from lab.lifecycle.lab import take_down
from lab.lifecycle.up import up
from lab.plan.layout import Layout
from lab.runtime import lab_record as state
from lab.runtime.containers import engine, removal
from lab.runtime.containers.images import build_cache
from lab.system import blocked_loop
from lab.system.locks import try_lock
from lab.system.processes import MARK, Identity, end_members, identify_file_view, kill_members
from lab.topology.files import load


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XMPPLAB_HOME", str(tmp_path))
    monkeypatch.delenv("XMPPLAB_CACHE", raising=False)
    return tmp_path


def left_over(name: str) -> Layout:
    """A lab whose `up` was killed."""
    layout = Layout.of(name)
    state.make_root(layout)
    me = Identity.of(os.getpid())
    assert me is not None
    state.LabRecord(name, "pair", "processes", state.STARTING, False, me, time.time()).write(layout)
    (layout.root / "servers").mkdir()
    layout.lock.touch()
    return layout


async def test_a_killed_up_is_swept_and_nothing_beside_it(home: Path) -> None:
    layout = left_over("mine")
    precious = home / "precious"
    precious.mkdir()
    (precious / "file").touch()
    (home / "labs" / "link").symlink_to(precious)
    (home / "labs" / "Not A Lab").mkdir()
    (home / "labs" / "notes").mkdir()
    (home / "labs" / "notes" / "todo.txt").touch()
    told: list[str] = []
    assert await sweep(told.append, containers=False) == ["the lab mine (starting)"]
    assert not layout.root.exists()
    assert (precious / "file").exists()
    assert (home / "labs" / "Not A Lab").exists()
    assert (home / "labs" / "notes" / "todo.txt").exists()
    assert any("notes" in line and "todo.txt" in line for line in told), told


@pytest.mark.parametrize("link", [False, True])
async def test_nothing_is_written_into_a_folder_that_is_no_labs(home: Path, link: bool) -> None:
    folder = home / "elsewhere" if link else home / "labs" / "notes"
    folder.mkdir(parents=True)
    (folder / "todo.txt").touch()
    if link:
        (home / "labs").mkdir()
        (home / "labs" / "notes").symlink_to(folder)
    await sweep(containers=False)
    with pytest.raises(UserError, match="no lab's folder"):
        await up(load("pair"), runtime=runtimes.get_runtime("processes"), name="notes")
    with pytest.raises(UserError, match="no lab"):
        await down.down("notes")
    await down.down_all()
    assert [entry.name for entry in folder.iterdir()] == ["todo.txt"]


async def test_a_lab_of_another_version_stays() -> None:
    layout = left_over("newer")
    layout.state.write_text(json.dumps({"format": state.FORMAT + 1}))
    told: list[str] = []
    assert await sweep(told.append, containers=False) == []
    assert layout.root.exists()
    assert any("another version" in line for line in told), told
    assert await down.down("newer") == "newer"
    assert not layout.root.exists()


async def test_a_lab_that_somebody_is_at_stays() -> None:
    layout = left_over("busy")
    async with state.locked(layout):
        assert await sweep(containers=False) == []
    assert layout.root.exists()


async def test_a_dead_owners_child_releases_the_lock_in_a_moment() -> None:
    """Killed between fork and exec: the child still has the lock, and nobody is at the lab."""
    layout = left_over("forked")
    record = json.loads(layout.state.read_text())
    record["owner"]["started"] += 1  # another process, which has ended
    layout.state.write_text(json.dumps(record))
    owner = state.LabRecord.read(layout)
    assert owner is not None and not owner.owner.alive, record
    held = try_lock(layout.lock)
    assert held is not None
    asyncio.get_running_loop().call_later(0.1, os.close, held)
    assert await sweep(containers=False) == ["the lab forked (starting)"]
    assert not layout.root.exists()


async def test_a_full_disk_keeps_no_lab_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = left_over("full")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(state, "write_private", full)
    await take_down(layout, runtimes.get_runtime("processes"))
    assert not layout.root.exists()


def test_a_signal_leaves_the_clean_up_the_time_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of many servers, on a busy machine: what blocks the event loop after a signal would be interrupted."""
    layout, delete = left_over("large"), shutil.rmtree

    def delete_slowly(path: Path) -> None:
        time.sleep(2.0)
        delete(path)

    monkeypatch.setattr("lab.network.lab_folder.shutil.rmtree", delete_slowly)
    monkeypatch.setattr(blocked_loop, "PATIENCE", 0.2)

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(30)
        finally:
            await take_down(layout, runtimes.get_runtime("processes"))

    with pytest.raises(entry_point.Terminated):
        entry_point.run_async(work())
    assert not layout.root.exists()


async def test_what_is_half_made_of_images_is_swept_unless_somebody_makes_it() -> None:
    half = build_cache().folder / ".site-abc"
    half.mkdir(parents=True)
    async with build_cache().locked(lambda text: None):
        half.mkdir()
        assert await sweep(containers=False) == []
        assert half.is_dir()
    assert await sweep(containers=False) == ["the half-made site-abc in the cache"]
    assert not half.exists()


def test_a_folder_that_may_not_be_seen_is_not_gone(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    assert _is_absent(str(home / "nothing"))
    assert not _is_absent(str(home))

    def hidden(self: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "stat", hidden)
    assert not _is_absent(str(home / "nothing"))


def test_only_labs_made_where_the_same_folders_are_seen_are_asked_for() -> None:
    asked: list[dict[str, list[str]]] = []

    class Api:
        def containers(self, *, all: bool, filters: dict[str, list[str]]) -> list[object]:  # noqa: A002 - the SDK's
            asked.append(filters)
            return []

        def networks(self, *, filters: dict[str, list[str]]) -> list[object]:
            asked.append(filters)
            return []

    class Client:
        api = Api()

    assert removal.find_leftovers(Client()) == {}  # type: ignore[arg-type]
    assert len(asked) == 2
    assert all(f"{engine.FILE_VIEW}={identify_file_view()}" in one["label"] for one in asked)
    assert engine.build_labels(Layout.of("x"))[engine.FILE_VIEW] == identify_file_view()


@contextlib.contextmanager
def process_of(folder: Path, root: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that carries the mark of a lab in `folder` and sees the files below `root` alone."""
    code = f"import os, time; os.chroot({str(root)!r}); print('here', flush=True); time.sleep(60)"
    marks = {**os.environ, MARK: str(folder)}
    with subprocess.Popen([sys.executable, "-c", code], env=marks, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout and process.stdout.readline() == "here\n"
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(os.getuid() != 0, reason="to change the root folder takes root")
async def test_processes_below_another_root_are_others_though_the_folder_has_the_same_name(home: Path) -> None:
    """A lab in a chroot: its folder's name says nothing here, neither to a sweep nor where our own lab ends."""
    folder = home / "labs" / "pair"
    with process_of(folder, home) as theirs, process_of(folder, Path("/")) as ours:
        (swept,) = await sweep(containers=False)
        assert str(ours.pid) in swept
        assert ours.wait() == -signal.SIGKILL
        assert theirs.poll() is None
        assert await end_members(folder) == []
        assert kill_members(folder) == 0
        assert theirs.poll() is None


async def test_a_service_that_has_deleted_its_folder_ends_by_itself(home: Path) -> None:
    """Another lab's sweep at that moment neither kills it nor reports it."""
    code = "print('here', flush=True); import time; time.sleep(0.5)"
    marks = {**os.environ, MARK: str(home / "labs" / "pair")}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, env=marks, stdout=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220 - a moment
        assert process.stdout and process.stdout.readline() == "here\n"
        assert await sweep(containers=False) == []
        assert process.wait() == 0
