"""Delete what interrupted work left behind, and nothing else: folders, processes, half-made caches, containers.

A leftover is
- a lab folder whose lock is free and which is not ready (its `up` or `down` was killed), or was ready and whose
  service is gone, or whose owner is gone;
- a process marked with a lab folder that does not exist any more (`marked` leaves out what is in a container or a
  chroot, and has folders that we cannot see);
- a folder in the cache that somebody began to fill, while nobody fills it;
- containers and networks labelled with a folder that is a leftover or does not exist, if they were made where the
  same folders are seen: whoever uses this engine from a container of their own has others.

Labs that are up, and labs that somebody is at, are never touched. A reservation on addresses needs no sweeping.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from lab.errors import LabError, MissingError, TimedOut, UserError
from lab.lifecycle.runtimes import named
from lab.network import lab_folder
from lab.network.lab_folder import service_runs
from lab.plan.layout import Layout
from lab.runtime.debian import trees
from lab.runtime.protocol import Progress, Runtime
from lab.runtime.record import READY, LabRecord, layouts
from lab.system.locks import try_lock
from lab.system.processes import command_line, end_members, evidence, marked

_MOMENT = 2.0  # seconds: between fork and exec lie milliseconds, on a starved machine more
_LOOK_AGAIN = 0.01  # seconds between two tries for the lock


async def sweep(progress: Progress = lambda text: None, *, containers: bool = True) -> list[str]:
    """Delete every leftover; a sentence for each.

    Without `containers` no engine is asked but for labs whose record says that they are in containers: what is
    missed are only containers of a lab whose folder somebody deleted by hand.

    Raises TimedOut if something cannot be ended.
    """
    swept = []
    for layout in layouts():
        try:
            sentence = await _sweep_folder(layout)
        except (MissingError, UserError) as error:  # its engine does not answer, or it is no lab's: it stays
            progress(f"the lab {layout.name} is left as it is: {error}")
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
    try:
        lock = await _lock(layout)
    except FileNotFoundError:  # ended meanwhile
        return None
    if lock is None:  # somebody is at it
        return None
    try:
        record = LabRecord.read(layout)
        if record is not None and _lives(layout, record):
            return None
        if record is None and layout.state.exists():
            raise UserError("another version of xmpplab made it, or its lab.json is damaged: `xmpplab down` ends it")
        lab_folder.check(layout)
        await _runtime(record).stop(layout)
        lab_folder.remove(layout)
    finally:
        os.close(lock)
    return f"the lab {layout.name} ({'no record' if record is None else record.phase})"


async def _lock(layout: Layout) -> int | None:
    """The lab's lock, or None if another process holds it. Raises FileNotFoundError without a folder.

    A process that was killed while it started another leaves the lock with the child until that executes its program:
    where the process that began the lab is dead, this waits for that moment.
    """
    deadline = time.monotonic() + _MOMENT
    while (held := try_lock(layout.lock)) is None and time.monotonic() < deadline:
        record = LabRecord.read(layout)
        if record is None or record.owner.alive:
            return None
        await asyncio.sleep(_LOOK_AGAIN)
    return held


def _lives(layout: Layout, record: LabRecord) -> bool:
    if record.phase != READY or (record.owned and not record.owner.alive):
        return False
    return service_runs(layout) if record.runtime == "processes" else _runtime(record).is_running(layout)


def _runtime(record: LabRecord | None) -> Runtime:
    return named(record.runtime if record else "processes")


async def _sweep_processes() -> list[str]:
    found = []
    for folder, pids in marked().items():
        if not _is_gone(folder):
            continue
        strays = [pid for pid in pids if pid != os.getpid()]
        if not strays:
            continue
        names = [f"process {pid} ({command_line(pid)[:60]}) of the lab {Path(folder).name}" for pid in strays]
        if left := await end_members(Path(folder)):
            raise TimedOut(f"processes of {folder} cannot be ended", evidence(left))
        found += names
    return found


def _is_gone(folder: str) -> bool:
    """True if there is no such folder; where we may not look, there may be one."""
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
    for store in (trees.store(), images.store()):
        left = store.half_made()
        if left and store.is_free():
            async with store.filling(lambda text: None):  # which begins with sweeping
                swept += [f"the half-made {path.name.lstrip('.')} in the cache" for path in left]
    return swept


async def _sweep_containers(progress: Progress) -> list[str]:
    from lab.runtime.containers import Containers

    runtime = Containers()
    if any(not one.good for one in runtime.prerequisites()):
        return []
    swept = []
    try:
        for folder, things in (await runtime.leftovers()).items():
            if not _is_gone(folder):  # what lies in it decided above, or is somebody else's
                continue
            try:
                await runtime.stop(Layout(Path(folder)))
            except LabError as error:
                progress(f"what is left of {folder} cannot be removed: {error}")
                continue
            swept.append(f"{', '.join(things)} of the lab {Path(folder).name}")
    finally:
        runtime.close()
    return swept
