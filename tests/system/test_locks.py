"""Locks on files: held by one process, released by its end, safe against a file that is deleted meanwhile."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.system.locks import is_locked, lock, try_lock

HOLDER = """
import pathlib, sys
from lab.system.locks import try_lock
held = try_lock(pathlib.Path(sys.argv[1]))
print(held, flush=True)
input()
"""


def test_one_descriptor_at_a_time_and_closing_releases(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path)
    held = try_lock(path)
    assert held is not None and path.stat().st_mode & 0o777 == 0o600
    assert try_lock(path) is None and is_locked(path)
    os.close(held)
    assert not is_locked(path)
    again = try_lock(path)
    assert again is not None
    os.close(again)


def test_a_killed_process_releases_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        assert is_locked(path) and try_lock(path) is None
        holder.kill()
        holder.wait()
    assert not is_locked(path)


def test_the_lock_of_a_deleted_file_is_not_taken_for_that_of_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, opened = tmp_path / "lock", []
    real = os.open

    def delete_once(*arguments: object, **options: object) -> int:
        descriptor: int = real(*arguments, **options)  # type: ignore[arg-type]
        opened.append(descriptor)
        if len(opened) == 1:
            path.unlink()  # by the process that had the lock, before we have it
        return descriptor

    monkeypatch.setattr(os, "open", delete_once)
    held = try_lock(path)
    assert held is not None and len(opened) == 2
    assert os.path.samestat(os.fstat(held), path.stat())
    os.close(held)


async def test_waiting_ends_with_the_holder_or_with_patience(tmp_path: Path) -> None:
    path, waits, waited = tmp_path / "lock", [], asyncio.Event()
    held = try_lock(path)
    assert held is not None
    with pytest.raises(TimeoutError, match="locked by another process"):
        await lock(path, patience=0.0, poll=0.001)

    def waiting() -> None:
        waits.append(path)
        waited.set()

    task = asyncio.create_task(lock(path, patience=60.0, poll=0.001, waiting=waiting))
    await waited.wait()
    os.close(held)
    os.close(await task)
    assert waits == [path], "said once"


def test_a_link_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic links"):
        try_lock(tmp_path / "link")
    with pytest.raises(FileNotFoundError):
        try_lock(tmp_path / "missing" / "lock")
