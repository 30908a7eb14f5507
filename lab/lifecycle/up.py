"""Brings a lab up, alike for both runtimes.

The steps: sweep, lock, compare with the lab of that name, check memory and disk, reserve addresses, get the
software, plan, write the folder, start, wait until every edge has carried a stanza.

Rules:
- while a lab is brought up its lock is held; an error, Ctrl-C or a cancelled task ends what was begun and deletes the
  folder before the error is passed on. A killed `up` leaves a folder whose lock is free: see `sweep`;
- a lab that is up with an equal plan is used as it is; with another plan nothing is changed without `recreate`.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from lab.errors import NotReady, UserError
from lab.lifecycle.cleanup import sweep
from lab.lifecycle.credentials import Credentials, provide_credentials
from lab.lifecycle.faults import refuse_packet_loss
from lab.lifecycle.lab import Lab, end
from lab.lifecycle.readiness import compute_default_timeout, find_unknown_edges, wait_ready
from lab.lifecycle.registry import find_changes, open_lab
from lab.lifecycle.runtimes import choose, find_runtime
from lab.network import lab_folder
from lab.plan import files
from lab.plan.build import build
from lab.plan.client_view import build_client_view
from lab.plan.layout import Layout
from lab.runtime.disk import check_room
from lab.runtime.lab_record import NOT_READY, READY, STARTING, LabRecord, locked
from lab.runtime.memory import check_memory, estimate_needed
from lab.runtime.protocol import AddressReservation, Progress, Runtime
from lab.runtime.server_files import generate_secret, make_servers, write_servers
from lab.system.files import write_private
from lab.system.processes import Identity, check_limits
from lab.topology.spec import Topology

T = TypeVar("T")


async def up(
    topology: Topology,
    *,
    runtime: Runtime | str = "auto",
    name: str | None = None,
    owned: bool = False,
    recreate: bool = False,
    progress: Progress = lambda text: None,
    patience: float | None = None,
    keep: bool = False,
    source: str = "",
    credentials: Path | None = None,
) -> Lab:
    """Bring a topology up; once this returns every allowed edge has carried a stanza in both directions.

    Without `name` the lab has the topology's name, with `owned` a unique one. With `owned` it ends when
    this process ends, however that happens. `patience` is in seconds and counts from the servers' start. With `keep` a
    lab that does not become ready in that time stays as it is, in the phase `not-ready`. `source` is what the topology
    was read from, valid in every folder, for commands that repeat a run. With `credentials` authority, password and
    addresses are those in this file, which is made if there is none.

    Raises UserError (a lab of that name has another plan), MissingError (memory, software, addresses),
    NotReady. All that was begun has ended by then, unless it was to be kept.
    """
    chosen = choose(runtime) if isinstance(runtime, str) else runtime
    refuse_packet_loss(topology.faults, chosen.name)
    layout = Layout.of(choose_name(topology, name, owned))
    given = None if credentials is None else provide_credentials(credentials)
    await sweep(progress, containers=chosen.name == "containers")
    async with locked(layout, make=True):
        found = await open_lab(layout)
        if found is not None:
            differences = [*find_changes(found, topology, chosen), *(given.list_differences(found) if given else ())]
            if not differences and not found.ended:
                progress(f"{layout.name} is up already, with the same plan: nothing to do")
                return found
            if not recreate:
                listed = "\n".join(f"  {change}" for change in [*found.ended, *differences])
                how = "with another plan" if differences else "and not all of it runs"
                raise UserError(f"a lab {layout.name} is up {how}:\n{listed}\nuse --recreate, or --name")
            check_memory(topology, freed=estimate_needed(found.plan.topology))
            progress(f"ending {layout.name} first")
        if layout.state.exists():
            await end(layout, found.runtime if found else find_runtime(layout, chosen))
        else:  # a new folder, or one that was never a lab's: `empty` refuses that
            await asyncio.to_thread(lab_folder.empty, layout)
        return await _bring_up(layout, topology, chosen, owned, progress, patience, keep, source, given)


def choose_name(topology: Topology, name: str | None, owned: bool = False) -> str:
    """The name that a lab gets. Raises UserError for one that cannot be a folder's and a host's name."""
    if name is None:
        name = f"{topology.name[:32].strip('-')}-{secrets.token_hex(3)}" if owned else topology.name
    return Layout.of(name).name


async def _bring_up(
    layout: Layout,
    topology: Topology,
    runtime: Runtime,
    owned: bool,
    progress: Progress,
    patience: float | None,
    keep: bool,
    source: str,
    given: Credentials | None,
) -> Lab:
    me, kept = Identity.own(), False
    record = LabRecord(layout.name, topology.name, runtime.name, STARTING, owned, me, time.time(), source=source)
    try:
        record.write(layout)
        check_memory(topology)
        check_room(layout.root, len(topology.servers))
        if runtime.name == "processes":
            check_limits(len(topology.servers), 2 * len(topology.links))
        network = given.networks.get(runtime.name) if given else None
        async with _reserved(runtime.reserve(layout, topology.servers, owned=owned, network=network)) as reserved:
            await runtime.prepare(topology.servers, progress)
            password, keys = generate_secret(layout, given.secret if given else None)
            reservation = await reserved
            if given is not None:
                given.keep_network(runtime.name, reservation.network)
            plan = build(topology, await runtime.get_facts(layout, topology.servers, reservation))
            write_private(layout.plan, files.dump(plan))
            write_private(layout.clients, build_client_view(layout.name, plan).dump())
            make_servers(layout, plan)
            progress(f"starting {len(plan.servers)} servers ({runtime.name})")
            async with _beside(write_servers(layout, plan, keys, given.authority if given else None)) as written:
                await runtime.start(layout, plan, reservation, written=written, owned=owned, progress=progress)
            kept = keep  # all of it has been started
            await wait_ready(layout, plan, runtime, progress, patience or compute_default_timeout(plan))
        unknown = find_unknown_edges(plan)
        record.enter_phase(READY, ready=time.time(), unknown=unknown).write(layout)
    except NotReady as error:
        if not kept:
            await _undo(layout, runtime)
            raise
        record.enter_phase(NOT_READY).write(layout)
        raise NotReady(
            f"{error.args[0]}; it is left up: see `xmpplab status {layout.name}` and `xmpplab logs`, end it with "
            f"`xmpplab down {layout.name}`",
            error.evidence,
        ) from error
    except BaseException:  # also a cancelled task: all that was begun is ended
        await _undo(layout, runtime)
        raise
    return Lab(layout, plan, runtime, password, keys, owned, unknown)


async def _undo(layout: Layout, runtime: Runtime) -> None:
    """End all that was begun."""
    await end(layout, runtime)
    await asyncio.to_thread(lab_folder.remove, layout)


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
    """A task beside the work of the block, which awaits it; at the end it is cancelled if it still runs."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # retrieved: it was raised where the task was awaited, or another error came first
