"""What is known of every lab that has a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.lifecycle.registry import describe_end
from lab.lifecycle.runtimes import get_runtime
from lab.plan import files
from lab.plan.layout import Layout
from lab.plan.model import Plan
from lab.runtime.lab_record import NOT_READY, READY, LabRecord, list_layouts
from lab.runtime.protocol import ServerState
from lab.runtime.server_files import read_secret


@dataclass(frozen=True)
class Status:
    """What is known of a lab that has a folder."""

    name: str
    runtime: str
    phase: (
        str  # "starting", "ready", "stopping", "not-ready", "broken": ready once, but its service or a server has ended
    )
    owned: bool
    owner: int  # pid of the process that started it
    since: float  # seconds since the epoch
    plan: Plan | None
    states: dict[str, ServerState]
    unknown: tuple[tuple[str, str], ...]
    ended: tuple[str, ...] = ()  # what has ended: servers with the reason, "service"
    password: str = ""  # of every account; "" if the lab is not up


async def read_status() -> list[Status]:
    """Every lab that has a folder."""
    found = []
    for layout in list_layouts():
        record = LabRecord.read(layout)
        if record is None:
            continue
        one = await _status(layout, record)
        if LabRecord.read(layout) is not None:  # else another process has deleted it meanwhile
            found.append(one)
    return found


async def _status(layout: Layout, record: LabRecord) -> Status:
    plan, states, password = None, {}, ""
    ended: list[str] = []
    if record.phase in (READY, NOT_READY):
        try:
            plan = files.read(layout.plan)
            password, _ = read_secret(layout)
        except FileNotFoundError as error:
            ended.append(Path(error.filename).name)
    if plan is not None:
        try:
            states = await get_runtime(record.runtime).read_states(layout, plan, pids=True)
        except LabError:
            ended.append("service")
        ended += [f"{name} ({describe_end(state)})" for name, state in states.items() if not state.running]
    return Status(
        record.name,
        record.runtime,
        "broken" if ended and record.phase == READY else record.phase,
        record.owned,
        record.owner.pid,
        record.made,
        plan,
        states,
        record.unknown,
        tuple(ended),
        password,
    )
