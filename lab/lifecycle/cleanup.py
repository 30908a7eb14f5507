"""Deletes what interrupted work left, and nothing else: folders, processes, unfinished cache entries, containers.

A leftover is
- a lab folder whose lock is free and which is not ready (its `up` or `down` was killed), or was ready and whose
  service has ended, or whose owner has ended;
- a process marked with a lab folder that does not exist any more, and which does not end by itself: the last that a
  lab's service does is to delete the folder (`marked` leaves out processes in a container or a chroot, whose folders
  cannot be seen from here);
- an unfinished entry of a cache whose lock is free;
- containers and networks labelled with a folder that is a leftover or does not exist, if they were made by a process
  with the same view of folders: who uses this engine from within a container has another.

Labs that are up, and labs whose lock is held, are never changed. Reserved addresses need no sweep.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from lab.errors import LabError, MissingError, TimedOut, UserError
from lab.lifecycle.runtimes import find_runtime, get_runtime
from lab.network import lab_folder
from lab.network.lab_folder import is_service_running
from lab.plan.layout import Layout
from lab.runtime.debian import trees
from lab.runtime.lab_record import NOT_READY, READY, LabRecord, list_layouts
from lab.runtime.protocol import Progress
from lab.system.locks import try_lock
from lab.system.processes import Identity, describe_processes, end_members, find_marked, read_command_line

_FORK_PATIENCE = 2.0  # seconds between fork and exec: milliseconds, on a busy machine more
_END_PATIENCE = 2.0  # seconds from deleting its lab's folder to a service's end: 50 ms, on a busy machine more
_POLL = 0.01  # seconds between two looks


async def sweep(progress: Progress = lambda text: None, *, containers: bool = True) -> list[str]:
    """Delete every leftover; a sentence for each.

    Without `containers` the engine is asked only about labs whose record says that they are in containers: only the
    containers of a lab whose folder was deleted by hand are not found then.

    Raises TimedOut if something cannot be ended.
    """
    swept = []
    for layout in list_layouts():
        try:
            sentence = await _sweep_folder(layout)
        except (MissingError, UserError) as error:  # its engine does not answer, or the folder is no lab's: it stays
            progress(f"the lab {layout.name} is not changed: {error}")
            continue
        if sentence:
            swept.append(sentence)
    swept += await _sweep_processes()
    swept += await _sweep_cache()
    if containers:
        swept += await _sweep_containers(progress)
    for sentence in swept:
        progress(f"swept {sentence}")
    return swept


async def _sweep_folder(layout: Layout) -> str | None:
    lab_folder.refuse_foreign(layout)
    try:
        lock = await _lock(layout)
    except FileNotFoundError:  # another process has deleted it
        return None
    if lock is None:  # another process changes the lab
        return None
    try:
        record = LabRecord.read(layout)
        if record is not None and _is_up(layout, record):
            return None
        if record is None and layout.state.exists():
            raise UserError("another version of xmpplab made it, or its lab.json is damaged: `xmpplab down` ends it")
        lab_folder.check(layout)
        await find_runtime(layout).stop(layout)
        await asyncio.to_thread(lab_folder.remove, layout)
    finally:
        os.close(lock)
    return f"the lab {layout.name} ({'no record' if record is None else record.phase})"


async def _lock(layout: Layout) -> int | None:
    """The lab's lock, or None if another process holds it. Raises FileNotFoundError without a folder.

    A process that was killed while it started another leaves the lock with the child until that executes its program:
    where the process that began the lab is dead, this waits for that moment.
    """
    deadline = time.monotonic() + _FORK_PATIENCE
    while (held := try_lock(layout.lock)) is None and time.monotonic() < deadline:
        record = LabRecord.read(layout)
        if record is None or record.owner.alive:
            return None
        await asyncio.sleep(_POLL)
    return held


def _is_up(layout: Layout, record: LabRecord) -> bool:
    if record.phase not in (READY, NOT_READY) or (record.owned and not record.owner.alive):
        return False
    return (
        is_service_running(layout) if record.runtime == "processes" else get_runtime(record.runtime).is_running(layout)
    )


async def _sweep_processes() -> list[str]:
    found = []
    for folder, pids in find_marked().items():
        if not _is_absent(folder):
            continue
        leftovers = await _outlast([pid for pid in pids if pid != os.getpid()])
        if not leftovers:
            continue
        names = [f"process {pid} ({read_command_line(pid)[:60]}) of the lab {Path(folder).name}" for pid in leftovers]
        if left := await end_members(Path(folder)):
            raise TimedOut(f"processes of {folder} cannot be ended", describe_processes(left))
        found += names
    return found


async def _outlast(pids: list[int]) -> list[int]:
    """Those of the processes that do not end by themselves within a moment."""
    living = [found for pid in pids if (found := Identity.of(pid))]
    deadline = time.monotonic() + _END_PATIENCE
    while (living := [one for one in living if one.alive]) and time.monotonic() < deadline:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(_POLL)
    return [one.pid for one in living]


def _is_absent(folder: str) -> bool:
    """True if there is no such folder; False where that cannot be seen."""
    try:
        Path(folder).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


async def _sweep_cache() -> list[str]:
    from lab.runtime.containers import images

    swept = []
    for cache in (trees.build_cache(), images.build_cache()):
        left = cache.unfinished()
        if left and cache.is_free():
            async with cache.locked(lambda text: None):  # which deletes them
                swept += [f"the half-made {path.name.lstrip('.')} in the cache" for path in left]
    return swept


async def _sweep_containers(progress: Progress) -> list[str]:
    from lab.runtime.containers.runtime import Containers

    runtime = Containers()
    if any(not one.good for one in runtime.check_prerequisites()):
        return []
    swept = []
    try:
        for folder, resources in (await runtime.find_leftovers()).items():
            if not _is_absent(folder):  # its lab was swept above, or is not a leftover
                continue
            try:
                await runtime.stop(Layout(Path(folder)))
            except LabError as error:
                progress(f"{folder} cannot be removed completely: {error}")
                continue
            swept.append(f"{', '.join(resources)} of the lab {Path(folder).name}")
    finally:
        runtime.close()
    return swept
