"""Ready means federated: wait until every allowed edge has carried a stanza both ways.

Each server tells in its READY file when it accepts streams, and when a neighbour has answered its ping
(XEP-0199: question and answer use both directions of the edge). Only one end of an edge asks. Nothing logs in.

Rules:
- the files are read as they grow, never again from their beginning;
- a server that exits, or a deadline, ends the waiting with NotReady, which quotes logs and the likely cause;
- an edge whose ends both cannot ask (servers the lab does not know), or one of which is scripted (nobody listens there
  until a script does), is *unknown*, and said to be;
- a server that a person runs is waited for longer, and what they need to start it is said meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from lab.declarations.manifest import StartedBy
from lab.errors import NotReady
from lab.plan.layout import Layout
from lab.plan.model import Plan, ServerPlan
from lab.runtime.protocol import Progress, Runtime, ServerState
from lab.servers import software
from lab.servers.conventions import LOG, OUTPUT, READY

POLL = 0.03  # seconds between two looks at the files: a stat a server costs 2 microseconds
WATCH = 0.5  # seconds between two looks at the processes
PROGRESS = 0.5  # seconds between two sentences
EVIDENCE_LINES = 12  # last log lines quoted of a server
EVIDENCE_SERVERS = 3  # servers quoted at most

BASE_PATIENCE = 60.0  # seconds for the first server: an ejabberd on a slow machine needs 10
EXTERNAL_PATIENCE = 600.0  # seconds more where a person has to read what is said, and start a server by hand
PATIENCE_EACH = 2.0  # seconds more for each server: a Prosody costs 0.15 s of CPU, an ejabberd 2


@dataclass
class _Watched:
    """What one server has told until now."""

    plan: ServerPlan
    path: Path
    offset: int = 0
    started: bool = False
    probed: set[str] = field(default_factory=set)

    def read(self) -> None:
        """Take in what the READY file has more of: whole lines only."""
        try:
            if self.path.stat().st_size <= self.offset:
                return
            with self.path.open("rb") as file:
                file.seek(self.offset)
                data = file.read()
        except FileNotFoundError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.splitlines():
            entry = json.loads(line)
            self.started = True
            if domain := entry.get("probed"):
                self.probed.add(domain)


def usual_patience(plan: Plan) -> float:
    """Seconds that a lab of this size may take."""
    patience = BASE_PATIENCE + PATIENCE_EACH * len(plan.servers)
    return patience + EXTERNAL_PATIENCE if any(map(_external, plan.servers)) else patience


def by_hand(layout: Layout, server: ServerPlan) -> str:
    """What a person needs to run a server of their own in this lab."""
    certs = layout.server(server.spec.name) / "certs"
    dns = "{} port {}".format(*server.dns)
    return (
        f"{server.spec.domain} is yours to run: listen at {server.spec.address}, ask the DNS at {dns}, "
        f"certificate, key and authority are in {certs}"
    )


def unknown_edges(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Edges that no end asks over: whether they work is not known."""
    asked = {frozenset((server.spec.name, target)) for server in plan.servers for target in server.probes}
    return tuple((link.a, link.b) for link in plan.topology.links if link.pair not in asked)


async def wait_ready(layout: Layout, plan: Plan, runtime: Runtime, progress: Progress, patience: float) -> None:
    """Return once every server is up and every edge that can be asked over has answered. Raises NotReady."""
    watched = [_Watched(one, layout.server(one.spec.name) / READY) for one in plan.servers if not _scripted(one)]
    domains = {server.spec.name: server.spec.domain for server in plan.servers}
    deadline = time.monotonic() + patience
    next_look, next_word = time.monotonic() + WATCH, time.monotonic() + PROGRESS
    while True:
        for one in watched:
            one.read()
        missing = [(w.plan.spec.name, t) for w in watched for t in w.plan.probes if domains[t] not in w.probed]
        silent = [w for w in watched if not w.started]
        if not missing and not silent:
            progress(_sentence(layout, watched, missing))
            return
        now = time.monotonic()
        if now >= next_look:
            await _look(layout, plan, runtime, silent)
            next_look = time.monotonic() + WATCH
        if now >= next_word:
            progress(_sentence(layout, watched, missing))
            next_word = now + PROGRESS
        if now >= deadline:
            raise _not_ready(layout, plan, silent, missing, patience)
        await asyncio.sleep(POLL)


async def _look(layout: Layout, plan: Plan, runtime: Runtime, silent: list[_Watched]) -> None:
    """Fail for what has exited; find out whether servers that cannot tell accept streams."""
    states = await runtime.states(layout, plan)
    ended = [server for server in plan.servers if not _runs(server, states.get(server.spec.name))]
    if ended:
        names = ", ".join(server.spec.name for server in ended)
        why = sorted({_why(states[server.spec.name]) for server in ended if server.spec.name in states})
        raise NotReady(f"{names}: ended before being ready ({'; '.join(why)})", _evidence(layout, ended))
    for one in silent:
        if not one.plan.spec.manifest.instrumented:
            one.started = await _accepts(one.plan)


def _runs(server: ServerPlan, state: ServerState | None) -> bool:
    return _external(server) or _scripted(server) or (state is not None and state.running)


def _external(server: ServerPlan) -> bool:
    """A person runs it."""
    return server.spec.manifest.started_by is StartedBy.PERSON


def _scripted(server: ServerPlan) -> bool:
    """Nothing of it runs until a script wants it."""
    return server.spec.manifest.started_by is StartedBy.SCRIPT


def _why(state: ServerState) -> str:
    """An exit code, or why there is none: it could not even be started."""
    return state.detail if state.exit_code is None else f"exit code {state.exit_code}"


async def _accepts(server: ServerPlan) -> bool:
    host, port = server.address, server.spec.manifest.ports.server
    if server.spec.address:
        host, _, text = server.spec.address.rpartition(":")
        port = int(text)
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), WATCH)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _sentence(layout: Layout, watched: list[_Watched], missing: list[tuple[str, str]]) -> str:
    edges = sum(len(one.plan.probes) for one in watched)
    up = sum(one.started for one in watched)
    awaited = {one.plan.spec.name for one in watched if not one.started} | {target for _, target in missing}
    yours = [by_hand(layout, one.plan) for one in watched if _external(one.plan) and one.plan.spec.name in awaited]
    return "; ".join([f"{up} of {len(watched)} servers up, {edges - len(missing)} of {edges} edges", *yours])


def _not_ready(
    layout: Layout, plan: Plan, silent: list[_Watched], missing: list[tuple[str, str]], patience: float
) -> NotReady:
    parts = []
    if silent:
        parts.append(f"not up: {', '.join(one.plan.spec.name for one in silent)}")
    if missing:
        parts.append(f"no answer over: {', '.join(f'{a} to {b}' for a, b in missing[:10])}")
    names = dict.fromkeys([one.plan.spec.name for one in silent] + [name for edge in missing for name in edge])
    servers = [plan.server(name) for name in names]
    return NotReady(f"not ready after {patience:.0f} s; {'; '.join(parts)}", _evidence(layout, servers))


def _evidence(layout: Layout, servers: list[ServerPlan]) -> tuple[str, ...]:
    lines: list[str] = []
    for server in servers[:EVIDENCE_SERVERS]:
        name = server.spec.name
        if _external(server):
            lines.append(by_hand(layout, server))
            continue
        tail = last_lines(layout, name)
        lines += [f"{name}: {line}" for line in tail] or [f"{name}: wrote nothing"]
        if hint := software(server.spec.software).startup_hint(tail):
            lines.append(f"{name}: likely cause: {hint}")
    if len(servers) > EVIDENCE_SERVERS:
        lines.append(f"and {len(servers) - EVIDENCE_SERVERS} more servers")
    return tuple(lines)


def last_lines(layout: Layout, server: str, count: int = EVIDENCE_LINES) -> list[str]:
    """The last lines of what a server wrote: its standard error, then its log."""
    lines: list[str] = []
    for name in (OUTPUT, LOG):
        try:
            with (layout.server(server) / name).open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - 16384))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            continue
        lines += [line for line in text.splitlines() if line.strip()][-count:]
    return lines
