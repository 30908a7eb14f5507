"""The faults that one process holds on a lab: they end with it, however it ends.

The lab's service times and heals what concerns links, names and its own processes. What concerns servers in containers
is done here, by the process that holds the lab. A note in the lab's folder says which servers it has changed, so that
whoever uses the lab next undoes it if this process was killed; on the socket beside the note it is asked to heal.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.declarations.effects import CertificateChange, DeviceOutage, Effect, Interception, ServerChange, ServerOutage
from lab.declarations.fault import FaultTarget
from lab.errors import MissingError, PeerError, TimedOut, UserError
from lab.lifecycle.lab import Lab
from lab.lifecycle.stream_probe import find_certificate
from lab.network.control import Control, ControlServer
from lab.network.fault_engine import Executor, FaultEngine, FaultEvent
from lab.network.server_outages import ServerOutages
from lab.plan.fault_schedule import declaration
from lab.plan.layout import Layout
from lab.plan.model import Plan
from lab.runtime.protocol import Runtime
from lab.runtime.server_files import write_certificate
from lab.system.files import write_private
from lab.system.packet_filter import find_filter_problem
from lab.system.processes import Identity
from lab.topology.fault_targets import directions, find_targets
from lab.topology.faults import check_all, refuse_people, to_json
from lab.topology.spec import Certificate, FaultSpec, Topology

PATIENCE = 300.0  # seconds that applying or healing may take: a server is waited for after its start
_WAIT = 5.0  # seconds that one question for events waits for an answer

_RELOAD_PATIENCE = 20.0  # seconds until a server shows the certificate that it was told to read
_POLL = 0.05  # seconds between two looks at it
_CERTIFICATE = "certificate"  # in a note: that of a server was changed

_SOCKET = ".sock"  # of the holder, beside its note

OnEvent = Callable[[FaultEvent], None]


def held_here(spec: FaultSpec, lab: Lab) -> bool:
    """Whether the process that holds the lab carries a fault out, and not the lab's service."""
    declared = declaration(spec)
    return declared.by_holder or (declared.target is FaultTarget.SERVERS and lab.runtime.name != "processes")


def refuse_packet_loss(specs: Iterable[FaultSpec], runtime: str) -> None:
    """Raise UserError or MissingError, with the reason, if any of these drops packets and a lab here cannot."""
    dropping = [
        f"{spec.name}: {one.name}"
        for spec in specs
        for one in declaration(spec).fields
        if one.drops_packets and one.name in spec.fields
    ]
    if not dropping:
        return
    if runtime != "processes":
        raise UserError(
            f"{', '.join(dropping)}: packets can be dropped with the runtime processes only, not with {runtime}: "
            "give --runtime processes, as root, or use flap, partition or jitter"
        )
    if problem := find_filter_problem():
        raise MissingError(f"{', '.join(dropping)}: {problem}; or use flap, partition or jitter")


class FaultSession:
    """Faults on one lab, for the length of an `async with` block: all of them have been healed at its end."""

    def __init__(self, lab: Lab, on_event: OnEvent = lambda event: None, *, devices: Executor | None = None) -> None:
        """`on_event` is called with whatever the faults of this session do; `devices` carries out those of people."""
        self._devices = devices
        self._lab, self._on_event = lab, on_event
        self._control: Control | None = None
        self._events: asyncio.Task[None] | None = None
        self._since = 0
        self._names: set[str] = set()
        self._stack = contextlib.AsyncExitStack()
        self._executor = _HolderExecutor(lab, devices)
        self._asked: ControlServer | None = None  # for other processes
        self._healing = asyncio.Lock()  # for one of them
        self._engine = FaultEngine(
            lab.plan.topology, self._executor, on_event, lambda: self._executor.note(self._engine.list_active())
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self, specs: Sequence[FaultSpec], begin: float | None = None) -> None:
        """Let faults act at their times from `begin` on (seconds since the epoch; now). Raises UserError, PeerError."""
        self._check(specs)
        begin = time.time() if begin is None else begin
        there = [spec for spec in specs if not held_here(spec, self._lab)]
        if there:
            self._share_certificates(there)
            control = await self._connected()
            self._names |= {spec.name for spec in there}
            await control.call("start_faults", faults=[to_json(spec) for spec in there], begin=begin)
            if self._events is None:
                self._events = asyncio.create_task(self._follow())
        here = [spec for spec in specs if held_here(spec, self._lab)]
        self._engine.start(here, begin, self)
        if here:
            await self._listen()

    async def add(self, spec: FaultSpec, *, keep: bool = False) -> None:
        """Apply a fault now; it acts once this returns. With `keep` it stays when this session ends.

        Raises UserError, and what applying it raises.
        """
        self._check([spec])
        if held_here(spec, self._lab):
            await self._engine.add(spec, self)
            await self._listen()
            return
        self._share_certificates([spec])
        control = await self._connected()
        await control.call("add_fault", patience=PATIENCE, fault=to_json(spec), keep=keep)

    async def wait_until_over(self, name: str) -> None:
        """Returns once a fault that this process carries out acts no longer: its time is over, or it was healed."""
        await self._engine.wait_until_over(name)

    async def close(self) -> None:
        """Heal every fault of this session; none acts once this returns, and `on_event` has been called with all."""
        try:
            await self._engine.heal()
            if self._control is not None:
                await self._control.call("heal_faults", patience=PATIENCE, mine=True)
                if self._events is not None:
                    self._report(await self._control.call("fault_events", since=self._since))
        finally:
            if self._events is not None:
                self._events.cancel()
                await asyncio.wait([self._events])
            self._control = self._events = None
            await self._stack.aclose()
            if self._asked is not None:
                async with self._healing:  # who asked gets an answer
                    await self._asked.close()
                self._asked = None
            self._executor.release()

    async def _listen(self) -> None:
        """Let other processes ask for the healing of what is carried out here."""
        if self._asked is None:
            asked = ControlServer(self._executor.socket, {"heal_faults": self._heal_for_another})
            await asked.listen()
            self._asked = asked

    async def _heal_for_another(self, request: dict[str, Any]) -> dict[str, Any]:
        async with self._healing:
            return {"healed": await self._engine.heal(name=request.get("name"))}

    def _share_certificates(self, specs: Sequence[FaultSpec]) -> None:
        """Let the lab's service show what attacks on links need."""
        plan = self._lab.plan
        named = [name for spec in specs for name in _intercepted_servers(spec, plan.topology)]
        self._lab.runtime.share_certificates(self._lab.layout, plan, list(dict.fromkeys(named)))

    def _check(self, specs: Sequence[FaultSpec]) -> None:
        check_all(specs, self._lab.plan.topology)
        refuse_packet_loss(specs, self._lab.runtime.name)
        if self._devices is None:
            refuse_people(specs, "only a scenario or a test that made them can let it act")

    async def _connected(self) -> Control:
        if self._control is None:
            self._control = await self._stack.enter_async_context(self._lab.open_control())
            self._since = (await self._control.call("list_faults"))["last"]
        return self._control

    async def _follow(self) -> None:
        """Report events as they happen; a connection of its own waits for them."""
        with contextlib.suppress(PeerError):  # the service has ended: whoever uses the lab finds out
            async with self._lab.open_control() as control:
                while True:
                    answer = await control.call("fault_events", patience=_WAIT + 10, since=self._since, wait=_WAIT)
                    self._report(answer)

    def _report(self, answer: dict[str, list[dict[str, object]]]) -> None:
        for fields in answer["events"]:
            event = FaultEvent(**{**fields, "servers": tuple(fields["servers"])})  # type: ignore[arg-type]
            if event.number <= self._since:
                continue
            self._since = event.number
            if event.name in self._names:
                self._on_event(event)


def _intercepted_servers(spec: FaultSpec, topology: Topology) -> list[str]:
    """The servers whose streams a fault reads."""
    declared = declaration(spec)
    if declared.target is not FaultTarget.LINKS or declared.effects is None:
        return []
    effects = declared.effects(declared.read(spec.fields), directions(spec, find_targets(spec, topology)))
    return [name for one in effects if isinstance(one, Interception) for name in (one.source, one.target)]


class _HolderExecutor:
    """Changes certificates; stops, kills, pauses and restarts servers in containers; and notes which."""

    def __init__(self, lab: Lab, devices: Executor | None) -> None:
        self._lab, self._devices = lab, devices
        self._certificates: dict[str, dict[str, str]] = {}  # kinds by server, then by token
        self._note = _notes(lab.layout) / f"{os.getpid()}-{id(self)}.json"
        self._changed: dict[str, str] = {}
        self._active: list[dict[str, Any]] = []
        self._outages = ServerOutages(lab.runtime.build_server_control(lab.layout, lab.plan))

    async def apply(self, effect: Effect, token: str) -> None:
        """Carry it out."""
        if isinstance(effect, DeviceOutage):
            assert self._devices is not None
            await self._devices.apply(effect, token)
            return
        if isinstance(effect, CertificateChange):
            self._changed[effect.server] = _CERTIFICATE
            self._write()
            self._certificates.setdefault(effect.server, {})[token] = effect.kind
            await change_certificate(self._lab.layout, self._lab.plan, self._lab.runtime, effect.server, effect.kind)
            return
        assert isinstance(effect, ServerOutage)
        self._changed[effect.server] = str(effect.change)
        self._write()
        await self._outages.apply(effect, token)
        if effect.change is ServerChange.RESTART:
            self._changed.pop(effect.server, None)
            self._write()

    async def heal(self, effect: Effect, token: str) -> None:
        """End it."""
        if isinstance(effect, DeviceOutage):
            assert self._devices is not None
            await self._devices.heal(effect, token)
            return
        if isinstance(effect, CertificateChange):
            left = self._certificates.get(effect.server, {})
            left.pop(token, None)
            kind = next(reversed(left.values()), None)
            await change_certificate(self._lab.layout, self._lab.plan, self._lab.runtime, effect.server, kind)
            return
        assert isinstance(effect, ServerOutage)
        await self._outages.heal(effect, token)

    def note(self, active: list[dict[str, Any]]) -> None:
        """Let others know of the faults that this process carries out."""
        self._active = active
        if active or self._changed:
            self._write()
        else:
            self.release()

    @property
    def socket(self) -> Path:
        """Where this process is asked to heal."""
        return self._note.with_suffix(_SOCKET)

    def release(self) -> None:
        """Nothing is held any more."""
        self._note.unlink(missing_ok=True)

    def _write(self) -> None:
        self._note.parent.mkdir(mode=0o700, exist_ok=True)
        note = {"holder": Identity.own().to_json(), "servers": self._changed, "faults": self._active}
        write_private(self._note, json.dumps(note))


def _notes(layout: Layout) -> Path:
    return layout.root / "held"


def list_held(layout: Layout) -> list[dict[str, Any]]:
    """The faults that processes which hold the lab carry out, as `list_faults` has its own, each with its `pid`."""
    return [{**one, "pid": holder.pid} for _, note, holder in _read_notes(layout) for one in note["faults"]]


async def heal_held(layout: Layout, name: str | None) -> list[str]:
    """Let the processes that hold the lab heal what they carry out, or one fault of it; the names of what was healed.

    None of it acts once this returns. Raises PeerError if such a process does not answer.
    """
    healed: list[str] = []
    for path, note, holder in _read_notes(layout):
        named = [one["name"] for one in note["faults"] if name in (None, one["name"])]
        if not named:
            continue
        try:
            async with Control(path.with_suffix(_SOCKET)) as control:
                healed += (await control.call("heal_faults", patience=PATIENCE, name=name))["healed"]
        except (PeerError, TimedOut) as error:
            if holder.alive:
                what = f"{', '.join(named)}: process {holder.pid}, which carries it out, does not heal it"
                raise PeerError(f"{what}: end it with `kill -INT {holder.pid}`") from error
            healed += named  # it has ended in the meantime, and heals at its end
    return healed


def _read_notes(layout: Layout) -> Iterator[tuple[Path, dict[str, Any], Identity]]:
    """The note of each process that holds the lab."""
    for path in sorted(_notes(layout).glob("*.json")):
        with contextlib.suppress(FileNotFoundError):  # its holder has ended in the meantime
            note = json.loads(path.read_text())
            holder = Identity.from_json(note["holder"])
            if holder is not None and holder.alive:
                yield path, note, holder


async def undo_abandoned(layout: Layout, plan: Plan, runtime: Runtime) -> list[str]:
    """Undo what processes that have ended did to servers; a sentence for each server. Raises NotReady, PeerError."""
    undone = []
    for path in sorted(_notes(layout).glob("*.json")):
        try:
            note = json.loads(path.read_text())
        except (OSError, ValueError):  # another process undoes it, or its writer was killed before it changed anything
            continue
        holder = Identity.from_json(note["holder"])
        if holder is not None and holder.alive:
            continue
        control = runtime.build_server_control(layout, plan)
        for server, change in note["servers"].items():
            if change == _CERTIFICATE:
                await change_certificate(layout, plan, runtime, server, None)
            elif await control.runs(server):
                await control.resume(server)
            else:
                await control.start(server)
            undone.append(f"{server} is as it was: what had changed it was killed")
        for left in (path, path.with_suffix(_SOCKET)):
            left.unlink(missing_ok=True)
    return undone


async def change_certificate(layout: Layout, plan: Plan, runtime: Runtime, server: str, kind: str | None) -> None:
    """Give a running server a new key and certificate of that kind, None: of the topology's; new streams show it.

    Raises UserError if its software cannot read it again, PeerError if the server refuses, TimedOut.
    """
    from lab.servers import get_software

    there = plan.server(server)
    reload = get_software(there.spec.software).reload()
    if reload is None:
        raise UserError(f"{server}: {there.spec.software} cannot be told to read its certificate again")
    before = await find_certificate(there)
    write_certificate(layout, there, None if kind is None else Certificate(kind))
    runtime.renew_shared_certificates(layout, plan, server)
    if not await runtime.build_server_control(layout, plan).runs(server):
        return  # it reads it when it starts
    for answer in await runtime.operate(layout, plan, server, reload):
        if answer.strip() and not answer.startswith("0\n"):
            raise PeerError(f"{server} does not read its certificate again: {answer.strip()[:500]}")
    deadline = time.monotonic() + _RELOAD_PATIENCE
    while before is not None and await find_certificate(there) == before:
        if time.monotonic() > deadline:
            raise TimedOut(f"{server} still shows its old certificate {_RELOAD_PATIENCE:.0f} s after it was told")
        await asyncio.sleep(_POLL)


async def change_server(lab: Lab, server: str, action: str) -> None:
    """Stop, start, restart or kill a server; returns once it has ended, or accepts streams.

    Raises UserError, NotReady.
    """
    names = [one.spec.name for one in lab.plan.servers]
    if server not in names:
        raise UserError(f"no server {server!r} in {lab.name}; there are: {', '.join(names)}")
    control = lab.runtime.build_server_control(lab.layout, lab.plan)
    runs = await control.runs(server)
    if action == "start":
        if runs:
            await control.resume(server)
            return
        await control.start(server)
        return
    if not runs:
        raise UserError(f"{server} does not run: `xmpplab start {server}` starts it")
    await control.end(server, at_once=action == "kill")
    if action == "restart":
        await control.start(server)


@contextlib.asynccontextmanager
async def declared_faults(lab: Lab, specs: Sequence[FaultSpec], on_event: OnEvent) -> AsyncIterator[FaultSession]:
    """A session for declared faults, which are checked first: `start` lets them act. Raises UserError."""
    check_all(specs, lab.plan.topology)
    refuse_packet_loss(specs, lab.runtime.name)
    async with FaultSession(lab, on_event) as session:
        yield session
