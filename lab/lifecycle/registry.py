"""The registry of labs: which one a command uses, and the labs that are up as values.

A lab fits a topology if planning the topology again with the lab's own runtime facts gives an equal plan.
"""

from __future__ import annotations

import signal

from lab.errors import LabError, UserError
from lab.lifecycle.faults import undo_abandoned
from lab.lifecycle.lab import Lab
from lab.lifecycle.runtimes import choose, get_runtime
from lab.plan import files
from lab.plan.build import build
from lab.plan.diff import find_differences
from lab.plan.layout import Layout
from lab.runtime.lab_record import NOT_READY, READY, LabRecord, list_layouts, select_record
from lab.runtime.protocol import Runtime, ServerState
from lab.runtime.server_files import read_secret
from lab.topology.spec import Topology


async def attach(name: str | None = None, *, whole: bool = True) -> Lab:
    """The lab of that name, or the only one. Raises UserError if there is none, or if it is not up.

    It raises it as well if a server of the lab has ended, or the lab was never ready, unless `whole` is false: then
    `Lab.ended` says which have.
    """
    record = select_record(name)
    lab = await open_lab(Layout.of(record.name), ready=whole)
    if lab is None:
        gone = "its service has ended, or files of it are missing"
        raise UserError(
            f"the lab {record.name} is not up ({gone if record.phase == READY else f'phase {record.phase}'}); "
            f"see `xmpplab down {record.name}`, `xmpplab sweep`"
        )
    if lab.ended and whole:
        raise UserError(
            f"these parts of the lab {record.name} have ended: {', '.join(lab.ended)}; see `xmpplab logs`, "
            "then end the lab with `xmpplab down`"
        )
    return lab


async def find(topology: Topology, runtime: Runtime | str = "auto") -> Lab | None:
    """A lab that is up, that no process owns, and whose plan is what this topology means; None if there is none."""
    chosen = choose(runtime) if isinstance(runtime, str) else runtime
    for layout in list_layouts():
        record = LabRecord.read(layout)
        if record is None or record.owned or record.runtime != chosen.name or record.topology != topology.name:
            continue
        lab = await open_lab(layout)
        if lab is not None and not lab.ended and not find_changes(lab, topology, chosen):
            return lab
    return None


async def open_lab(layout: Layout, *, ready: bool = True) -> Lab | None:
    """The lab in this folder, if it was ready once and its service runs; servers of it may have ended.

    Unless `ready`, also one that was never ready and was left up.
    """
    record = LabRecord.read(layout)
    if record is None or record.phase not in ((READY,) if ready else (READY, NOT_READY)):
        return None
    runtime = get_runtime(record.runtime)
    try:
        plan, (password, keys) = files.read(layout.plan), read_secret(layout)
    except FileNotFoundError:  # another process deletes it at this moment, or somebody has deleted a file
        return None
    try:
        await undo_abandoned(layout, plan, runtime)
        states = await runtime.read_states(layout, plan)
    except LabError:  # its service has ended
        return None
    ended = tuple(f"server {name} has ended ({describe_end(one)})" for name, one in states.items() if not one.running)
    return Lab(layout, plan, runtime, password, keys, record.owned, record.unknown, ended, record.source)


def find_changes(lab: Lab, topology: Topology, runtime: Runtime) -> list[str]:
    """What this topology on this runtime would have otherwise than the lab has; empty if the lab fits."""
    if lab.runtime.name != runtime.name:
        return [f"runtime: {lab.runtime.name} now, {runtime.name} wanted"]
    return find_differences(lab.plan, build(topology, lab.plan.facts))


def describe_end(ended: ServerState) -> str:
    """Why a server has ended: its exit code, or the signal, or what its runtime says."""
    if ended.exit_code is not None and -ended.exit_code in {*signal.Signals}:
        return f"ended by {signal.Signals(-ended.exit_code).name}"
    return ended.detail if ended.exit_code is None else f"exit code {ended.exit_code}"
