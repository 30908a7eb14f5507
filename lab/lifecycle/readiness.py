"""Waits until a lab is ready: every allowed edge has carried a stanza in both directions.

Each server writes into its READY file when it accepts streams, and when a neighbour has answered its ping
(XEP-0199: request and answer use both directions of the edge). Only one server of an edge pings. No client logs in.

Rules:
- only what is new in these files is read;
- a server that exits, or the deadline, raises NotReady, which quotes logs and the likely cause;
- an edge is *unknown*, and reported as that, if neither of its servers can ping (software without the lab's module), or
  if one is scripted (it listens only while a script runs);
- for a server that a person starts there is more time, and what they need to start it is shown meanwhile.
"""

from __future__ import annotations

import asyncio
import time

from lab.declarations.manifest import StartedBy
from lab.errors import NotReady
from lab.lifecycle.stream_probe import describe_fault
from lab.network.ready_file import ReadyFile, accepts
from lab.plan.layout import Layout
from lab.plan.model import Plan, ServerPlan
from lab.runtime.disk import is_full
from lab.runtime.protocol import Progress, Runtime, ServerState
from lab.servers import get_software
from lab.servers.conventions import LOG, OUTPUT, READY
from lab.system.files import read_last_lines
from lab.topology.allowance import largest_allowance

POLL = 0.03  # seconds between two reads of the files: a stat for each server costs 2 microseconds
CHECK = 0.5  # seconds between two checks of the processes
PROGRESS = 0.5  # seconds between two lines of progress
EVIDENCE_LINES = 12  # last log lines quoted of a server
EVIDENCE_SERVERS = 3  # servers quoted at most

BASE_PATIENCE = 60.0  # seconds for the first server: an ejabberd on a slow machine needs 10
EXTERNAL_PATIENCE = 600.0  # seconds more where a person has to read the instructions and start a server
PATIENCE_EACH = 2.0  # seconds more for each server: a Prosody costs 0.15 s of CPU, an ejabberd 2


def compute_default_timeout(plan: Plan) -> float:
    """Seconds that a lab of this size may need to become ready."""
    patience = BASE_PATIENCE + PATIENCE_EACH * len(plan.servers)
    patience += largest_allowance(plan.topology)
    return patience + EXTERNAL_PATIENCE if any(map(_external, plan.servers)) else patience


def describe_external_server(layout: Layout, server: ServerPlan) -> str:
    """What a person needs to run a server of their own in this lab."""
    certs = layout.server(server.spec.name) / "certs"
    dns = "{} port {}".format(*server.dns)
    return (
        f"{server.spec.domain} is yours to run: listen at {server.spec.address}, ask the DNS at {dns}, "
        f"certificate, key and authority are in {certs}"
    )


def find_unknown_edges(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Edges over which no server pings: whether they work is not known."""
    asked = {frozenset((server.spec.name, target)) for server in plan.servers for target in server.probes}
    return tuple((link.a, link.b) for link in plan.topology.links if link.comes_up and link.pair not in asked)


async def wait_ready(layout: Layout, plan: Plan, runtime: Runtime, progress: Progress, patience: float) -> None:
    """Return once every server is up and the ping over every edge that has one was answered. Raises NotReady."""
    watched = [ReadyFile(one, layout.server(one.spec.name) / READY) for one in plan.servers if not _scripted(one)]
    domains = {server.spec.name: server.spec.domain for server in plan.servers}
    deadline = time.monotonic() + patience
    next_check, next_report = time.monotonic() + CHECK, time.monotonic() + PROGRESS
    while True:
        for one in watched:
            one.read()
        missing = [(w.plan.spec.name, t) for w in watched for t in w.plan.probes if domains[t] not in w.probed]
        not_started = [w for w in watched if not w.started]
        if not missing and not not_started:
            progress(_sentence(layout, watched, missing))
            return
        now = time.monotonic()
        if now >= next_check:
            await _check_servers(layout, plan, runtime, not_started)
            next_check = time.monotonic() + CHECK
        if now >= next_report:
            progress(_sentence(layout, watched, missing))
            next_report = now + PROGRESS
        if now >= deadline:
            raise await _not_ready(layout, plan, not_started, missing, patience)
        await asyncio.sleep(POLL)


async def _check_servers(layout: Layout, plan: Plan, runtime: Runtime, not_started: list[ReadyFile]) -> None:
    """Raise NotReady for servers that have exited, or a full disk; ask servers without the lab's module for streams."""
    if is_full(layout.root):
        raise NotReady(f"{layout.root}: the disk is full: make room there, or set XMPPLAB_HOME to another disk")
    states = await runtime.read_states(layout, plan)
    ended = [server for server in plan.servers if not _runs(server, states.get(server.spec.name))]
    if ended:
        names = ", ".join(server.spec.name for server in ended)
        reasons = sorted({_exit_reason(states[server.spec.name]) for server in ended if server.spec.name in states})
        cause = next(filter(None, (_hint(layout, one) for one in ended)), "")
        likely = f"; likely cause: {cause}" if cause else ""
        raise NotReady(f"{names}: ended before being ready ({'; '.join(reasons)}){likely}", _evidence(layout, ended))
    for one in not_started:
        if not one.plan.spec.manifest.instrumented:
            one.started = await accepts(one.plan)


def _runs(server: ServerPlan, state: ServerState | None) -> bool:
    return _external(server) or _scripted(server) or (state is not None and state.running)


def _external(server: ServerPlan) -> bool:
    """A person runs it."""
    return server.spec.manifest.started_by is StartedBy.PERSON


def _scripted(server: ServerPlan) -> bool:
    """Nothing of it runs until a script wants it."""
    return server.spec.manifest.started_by is StartedBy.SCRIPT


def _exit_reason(state: ServerState) -> str:
    """An exit code, or reasons there is none: it could not even be started."""
    return state.detail if state.exit_code is None else f"exit code {state.exit_code}"


def _sentence(layout: Layout, watched: list[ReadyFile], missing: list[tuple[str, str]]) -> str:
    edges = sum(len(one.plan.probes) for one in watched)
    up = sum(one.started for one in watched)
    awaited = {one.plan.spec.name for one in watched if not one.started} | {target for _, target in missing}
    instructions = [
        describe_external_server(layout, one.plan)
        for one in watched
        if _external(one.plan) and one.plan.spec.name in awaited
    ]
    return "; ".join([f"{up} of {len(watched)} servers up, {edges - len(missing)} of {edges} edges", *instructions])


async def _not_ready(
    layout: Layout, plan: Plan, not_started: list[ReadyFile], missing: list[tuple[str, str]], patience: float
) -> NotReady:
    parts = []
    if not_started:
        parts.append(f"not up: {', '.join(one.plan.spec.name for one in not_started)}")
    if missing:
        parts.append(f"no answer over: {', '.join(f'{a} to {b}' for a, b in missing[:10])}")
    names = dict.fromkeys([one.plan.spec.name for one in not_started] + [name for edge in missing for name in edge])
    servers = [plan.server(name) for name in names]
    cause = next(filter(None, [*[await _fault(one) for one in servers], *[_hint(layout, one) for one in servers]]), "")
    likely = f"; likely cause: {cause}" if cause else ""
    return NotReady(f"not ready after {patience:.0f} s{likely}; {'; '.join(parts)}", _evidence(layout, servers))


async def _fault(server: ServerPlan) -> str:
    """What a server without the lab's module does wrong with a stream, "" of any other."""
    return "" if server.spec.manifest.instrumented or _scripted(server) else await describe_fault(server)


def _hint(layout: Layout, server: ServerPlan) -> str:
    """What a server's own log says of its start, in the words of its software."""
    found = get_software(server.spec.software).startup_hint(_log_lines(layout, server.spec.name))
    return f"{server.spec.name}: {found}" if found else ""


def _evidence(layout: Layout, servers: list[ServerPlan]) -> tuple[str, ...]:
    lines: list[str] = []
    for server in servers[:EVIDENCE_SERVERS]:
        name = server.spec.name
        if _external(server):
            lines.append(describe_external_server(layout, server))
            continue
        tail = _log_lines(layout, name)
        lines += [f"{name}: {line}" for line in tail] or [f"{name}: wrote nothing"]
    if len(servers) > EVIDENCE_SERVERS:
        lines.append(f"and {len(servers) - EVIDENCE_SERVERS} more servers")
    return tuple(lines)


def _log_lines(layout: Layout, server: str) -> list[str]:
    """The last lines that a server wrote: to its standard error, then to its log."""
    lines: list[str] = []
    for name in (OUTPUT, LOG):
        written = read_last_lines(layout.server(server) / name, 2 * EVIDENCE_LINES)
        lines += [line for line in written if line.strip()][-EVIDENCE_LINES:]
    return lines
