"""The life of a lab, alike for both runtimes: up, found again, down.

    up      lock, sweep, compare with what is there, look at memory, software, addresses, plan, folder, start, ready
    down    lock, stop, delete

Rules:
- while a lab is brought up its lock is held; an error, Ctrl-C or a cancelled task takes down what was begun and
  deletes the folder before the error goes on. A killed `up` leaves a folder whose lock is free: see `sweep`;
- a lab that is up with an equal plan is used as it is; with another plan nothing is touched without `recreate`;
- `plan` is a pure function of topology and runtime facts: whether a lab fits a topology is found out by planning the
  topology again with the lab's own facts.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from lab.errors import LabError, UserError
from lab.lifecycle import readiness as ready
from lab.lifecycle.lab import Lab
from lab.lifecycle.registry import choose, named
from lab.lifecycle.status import Status, status
from lab.network import lab_folder
from lab.plan import files
from lab.plan.build import build
from lab.plan.diff import differences
from lab.plan.layout import Layout
from lab.runtime import record as state
from lab.runtime import server_files as folders
from lab.runtime.memory import check_memory, needed
from lab.runtime.protocol import AddressReservation, Progress, Runtime, ServerState
from lab.system.files import write_private
from lab.system.processes import Identity
from lab.topology.spec import Topology

T = TypeVar("T")

__all__ = ["Lab", "Status", "attach", "choose", "down", "down_all", "find", "named", "status", "take_down", "up"]


async def up(
    topology: Topology,
    *,
    runtime: Runtime | str = "auto",
    name: str | None = None,
    owned: bool = False,
    recreate: bool = False,
    progress: Progress = lambda text: None,
    patience: float | None = None,
) -> Lab:
    """Bring a topology up; once this returns every allowed edge has carried a stanza both ways.

    Without `name` the lab is called as its topology, or with `owned` as nobody else's. With `owned` it ends when
    this process ends, however that happens. `patience` is in seconds and counts from the servers' start.

    Raises UserError (a lab of that name has another plan), MissingError (memory, software, addresses),
    NotReady. Whatever was begun is gone by then.
    """
    from lab.lifecycle.cleanup import sweep

    chosen = choose(runtime) if isinstance(runtime, str) else runtime
    layout = Layout.of(lab_name(topology, name, owned))
    await sweep(progress, containers=chosen.name == "containers")
    async with state.locked(layout, make=True):
        found, ended = await _found(layout)
        if found is not None:
            changes = _changes(found, topology, chosen)
            if not changes and not ended:
                progress(f"{layout.name} is up already, with the same plan: nothing to do")
                return found
            if not recreate:
                listed = "\n".join(f"  {change}" for change in [*ended, *changes])
                how = "with another plan" if changes else "and not all of it runs"
                raise UserError(f"a lab {layout.name} is up {how}:\n{listed}\nuse --recreate, or --name")
            check_memory(topology, freed=needed(found.plan.topology))
            progress(f"ending {layout.name} first")
        if layout.state.exists():
            await _end(layout, found.runtime if found else _runtime_of(layout, chosen))
        else:  # a new folder, and of an older one of this name the sweep has left nothing
            lab_folder.empty(layout)
        return await _bring_up(layout, topology, chosen, owned, progress, patience)


async def attach(name: str | None = None) -> Lab:
    """The lab of that name, or the only one, which is up. Raises UserError if there is none, or it is not up."""
    name = _only() if name is None else name
    layout = Layout.of(name)
    lab, ended = await _found(layout)
    if lab is None:
        record = state.LabRecord.read(layout)
        if record is None:
            raise UserError(f"there is no lab {name}{_others()}")
        raise UserError(f"the lab {name} is not up (phase {record.phase}); see `xmpplab down {name}`, `xmpplab sweep`")
    if ended:
        raise UserError(
            f"of the lab {name} not all runs: {', '.join(ended)}; see `xmpplab logs`, then end it with `down`"
        )
    return lab


async def find(topology: Topology, runtime: Runtime | str = "auto") -> Lab | None:
    """A lab that is up, is nobody's own, and whose plan is what this topology means; None if there is none."""
    chosen = choose(runtime) if isinstance(runtime, str) else runtime
    for layout in state.layouts():
        record = state.LabRecord.read(layout)
        if record is None or record.owned or record.runtime != chosen.name or record.topology != topology.name:
            continue
        lab, ended = await _found(layout)
        if lab is not None and not ended and not _changes(lab, topology, chosen):
            return lab
    return None


async def down(name: str | None = None, *, progress: Progress = lambda text: None) -> str:
    """End the lab of that name, or the only one, and delete its folder, whatever state it is in; its name.

    Raises UserError if there is none; what interrupted work left of any lab is gone in any case.
    """
    from lab.lifecycle.cleanup import sweep

    before = {layout.name for layout in state.layouts()}
    await sweep(progress, containers=False)
    if name is not None and name in before and not Layout.of(name).root.is_dir():
        return name  # a leftover: swept
    name = _only() if name is None else name
    layout = Layout.of(name)
    if not layout.root.is_dir():
        raise UserError(f"there is no lab {name}{_others()}")
    progress(f"ending {name}")
    await take_down(layout, _runtime_of(layout))
    return name


async def down_all(*, progress: Progress = lambda text: None) -> list[str]:
    """End every lab that is nobody's own; their names."""
    from lab.lifecycle.cleanup import sweep

    await sweep(progress, containers=False)
    ended = []
    for layout in state.layouts():
        record = state.LabRecord.read(layout)
        if record is not None and record.owned and record.owner.alive:
            continue
        progress(f"ending {layout.name}")
        try:
            await take_down(layout, _runtime_of(layout))
        except UserError as error:  # somebody else's folder among the labs keeps none of them from ending
            progress(f"{layout.name} is left as it is: {error}")
            continue
        ended.append(layout.name)
    return ended


async def take_down(layout: Layout, runtime: Runtime) -> None:
    """End a lab and delete its folder; returns once nothing of it is left. Raises TimedOut with what lives on."""
    try:
        async with state.locked(layout):
            await _end(layout, runtime)
            lab_folder.remove(layout)
    except FileNotFoundError:  # somebody else was faster
        return


def lab_name(topology: Topology, name: str | None, owned: bool = False) -> str:
    """The name that a lab gets. Raises UserError for one that cannot be a folder's and a host's name."""
    if name is None:
        name = f"{topology.name[:32].strip('-')}-{secrets.token_hex(3)}" if owned else topology.name
    return Layout.of(name).name


async def _bring_up(
    layout: Layout, topology: Topology, runtime: Runtime, owned: bool, progress: Progress, patience: float | None
) -> Lab:
    me = Identity.own()
    record = state.LabRecord(layout.name, topology.name, runtime.name, state.STARTING, owned, me, time.time())
    try:
        record.write(layout)
        check_memory(topology)
        async with _reserved(runtime.reserve(layout, topology.servers, owned=owned)) as reserved:
            await runtime.prepare(topology.servers, progress)
            password, keys = folders.draw_secret(layout)
            reservation = await reserved
            plan = build(topology, await runtime.facts(layout, topology.servers, reservation))
            write_private(layout.plan, files.dump(plan))
            folders.make_servers(layout, plan)
            progress(f"starting {len(plan.servers)} servers ({runtime.name})")
            async with _beside(folders.write_servers(layout, plan, keys)) as written:
                await runtime.start(layout, plan, reservation, written=written, owned=owned, progress=progress)
            await ready.wait_ready(layout, plan, runtime, progress, patience or ready.usual_patience(plan))
        unknown = ready.unknown_edges(plan)
        record.at(state.READY, ready=time.time(), unknown=unknown).write(layout)
    except BaseException:  # also a cancelled task: nothing that was begun stays
        await _end(layout, runtime)
        lab_folder.remove(layout)
        raise
    return Lab(layout, plan, runtime, password, keys, owned, unknown)


@contextlib.asynccontextmanager
async def _reserved(
    request: Coroutine[Any, Any, AddressReservation],
) -> AsyncIterator[asyncio.Task[AddressReservation]]:
    """Addresses that are reserved while something else is done (an engine needs a while to make a network).

    They are released at the end.
    """
    try:
        async with _beside(request) as task:
            yield task
    finally:
        if task.done() and not task.cancelled() and task.exception() is None:
            task.result().release()


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Work that goes on while something else is done, which awaits it. At the end it is not on its way any more."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # looked at: whoever awaited it has raised it, else something went wrong before


async def _end(layout: Layout, runtime: Runtime) -> None:
    """End whatever runs of a lab, and delete all but its lock."""
    record = state.LabRecord.read(layout)
    if record is not None:
        with contextlib.suppress(OSError):  # the disk may be full: ending the lab is what helps then
            record.at(state.STOPPING).write(layout)
    await runtime.stop(layout)
    lab_folder.empty(layout)


async def _found(layout: Layout) -> tuple[Lab | None, list[str]]:
    """The lab in this folder, if it was ready once and its services live; a sentence for each server that has ended."""
    record = state.LabRecord.read(layout)
    if record is None or record.phase != state.READY:
        return None, []
    runtime = named(record.runtime)
    plan = files.load(layout.plan.read_text())
    try:
        states = await runtime.states(layout, plan)
    except LabError:  # its service is gone
        return None, []
    password, keys = folders.read_secret(layout)
    lab = Lab(layout, plan, runtime, password, keys, record.owned, record.unknown)
    return lab, [f"server {name} has ended ({_why(one)})" for name, one in states.items() if not one.running]


def _why(ended: ServerState) -> str:
    return ended.detail if ended.exit_code is None else f"exit code {ended.exit_code}"


def _changes(lab: Lab, topology: Topology, runtime: Runtime) -> list[str]:
    if lab.runtime.name != runtime.name:
        return [f"runtime: {lab.runtime.name} now, {runtime.name} wanted"]
    return differences(lab.plan, build(topology, lab.plan.facts))


def _names() -> list[str]:
    return [layout.name for layout in state.layouts() if state.LabRecord.read(layout)]


def _only() -> str:
    """The name of the only lab there is. Raises UserError."""
    names = _names()
    if len(names) != 1:
        raise UserError(f"say which lab: there are {', '.join(names)}" if names else "no lab is up")
    return names[0]


def _others() -> str:
    names = _names()
    return f"; there are {', '.join(names)}" if names else "; none is up"


def _runtime_of(layout: Layout, default: Runtime | None = None) -> Runtime:
    record = state.LabRecord.read(layout)
    if record is not None:
        return named(record.runtime)
    return default or named("processes")
