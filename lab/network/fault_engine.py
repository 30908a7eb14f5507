"""Carries out the decisions of declared faults in time, and heals what acts: in the lab's service, or in the process
that holds a lab of containers.

A fault belongs to a holder, a connection to the service: when that is closed, however that happens, the fault is
healed. One without a holder stays until its time is over or it is healed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any, Protocol

from lab.declarations.effects import Effect
from lab.declarations.fault import FaultTarget, Plain
from lab.errors import LabError, UserError, describe
from lab.plan.fault_schedule import Decision, Phase, decisions, declaration
from lab.topology.fault_targets import Target, list_servers
from lab.topology.faults import check_all
from lab.topology.spec import FaultSpec, Topology

log = logging.getLogger(__name__)

#: Number of events that are kept: a link that flaps every 100 ms for an hour makes 72,000.
MOST_EVENTS = 100_000


class Executor(Protocol):
    """What carries effects out."""

    async def apply(self, effect: Effect, token: str) -> None:
        """Carry it out; it acts once this returns. Raises LabError."""

    async def heal(self, effect: Effect, token: str) -> None:
        """End it; it acts no longer once this returns, also where `apply` failed halfway. Raises LabError."""


@dataclass(frozen=True)
class FaultEvent:
    """A fault was applied or healed, or could not be. Times are seconds since the epoch."""

    number: int  # of this event, from 1
    phase: str  # "apply", "heal"
    name: str
    action: str
    occurrence: int  # which time of this fault; its healing has the same
    servers: tuple[str, ...]
    fields: dict[str, Plain]
    began: float
    at: float
    error: str = ""


@dataclass
class ActiveFault:
    """A fault that was added and is not over."""

    spec: FaultSpec
    token: str
    begin: float  # seconds on the monotonic clock
    holder: object | None
    first: asyncio.Future[None]  # done once it has acted for the first time, or cannot
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    decision: Decision | None = None  # what acts now
    task: asyncio.Task[None] | None = None

    def describe(self) -> dict[str, Any]:
        """What `faults` shows of it."""
        return {
            "name": self.spec.name,
            "action": self.spec.action,
            "acts": self.decision is not None,
            "targets": [" ".join(one) for one in self.decision.targets] if self.decision else [],
            "held": self.holder is not None,
            "fields": fault_fields(self.spec, self.decision.targets if self.decision else ()),
        }


class FaultEngine:
    """The declared faults of one lab, and what they have done."""

    def __init__(
        self,
        topology: Topology,
        executor: Executor,
        on_event: Callable[[FaultEvent], None] = lambda event: None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_event` is called with what is done to faults, `on_change` whenever `list_active` has changed."""
        self._topology, self._executor, self._on_event, self._on_change = topology, executor, on_event, on_change
        self._active: dict[str, ActiveFault] = {}  # by name
        self._numbers, self._tokens = count(1), count(1)
        self.events: list[FaultEvent] = []
        self._news = asyncio.Condition()

    def start(self, specs: Iterable[FaultSpec], begin: float, holder: object | None = None) -> list[ActiveFault]:
        """Let faults act at their times from `begin` on (seconds since the epoch), or none of them.

        Raises UserError for names that are there already, and for what the topology cannot have.
        """
        wanted = list(specs)
        check_all(wanted, self._topology)
        if taken := [spec.name for spec in wanted if spec.name in self._active]:
            raise UserError(f"{', '.join(taken)}: acts already: heal it first, or give another name")
        return [self._start(spec, time.monotonic() + begin - time.time(), holder) for spec in wanted]

    async def add(self, spec: FaultSpec, holder: object | None = None) -> ActiveFault:
        """Let a fault act now, and return once it does. Raises UserError, and what applying it raises."""
        (added,) = self.start([spec], time.time(), holder)
        try:
            await added.first
        except BaseException:
            await self._end([added])
            raise
        return added

    async def heal(self, *, name: str | None = None, holder: object | None = None) -> list[str]:
        """End one fault, all faults of a holder, or with neither all faults; their names, once none of them acts.

        Raises UserError if there is none of that name.
        """
        if name is not None and name not in self._active:
            known = ", ".join(self._active) or "none"
            raise UserError(f"no fault {name!r} is active; active: {known}")
        ending = [
            one
            for one in self._active.values()
            if (name is None or one.spec.name == name) and (holder is None or one.holder is holder)
        ]
        return await self._end(ending)

    async def wait_until_over(self, name: str) -> None:
        """Returns once no fault of that name is active: its time is over, or it was healed."""
        if (fault := self._active.get(name)) is not None:
            assert fault.task is not None
            await asyncio.shield(fault.task)

    @property
    def last(self) -> int:
        """The number of the last event, 0 before the first."""
        return self.events[-1].number if self.events else 0

    def list_active(self) -> list[dict[str, Any]]:
        """Every fault that is not over."""
        return [one.describe() for one in self._active.values()]

    async def wait_events(self, since: int, wait: float) -> list[dict[str, Any]]:
        """Events after number `since`, oldest first; waits at most `wait` seconds for one."""
        found = self._after(since)
        if not found and wait > 0:
            try:
                async with asyncio.timeout(wait), self._news:
                    await self._news.wait_for(lambda: self._after(since))
            except TimeoutError:
                return []
            found = self._after(since)
        return [asdict(one) for one in found]

    def _after(self, since: int) -> list[FaultEvent]:
        return [one for one in self.events if one.number > since]

    def _start(self, spec: FaultSpec, begin: float, holder: object | None) -> ActiveFault:
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        added = ActiveFault(spec, f"fault-{next(self._tokens)}", begin, holder, first)
        self._active[spec.name] = added
        self._on_change()
        added.task = asyncio.create_task(self._run(added))
        return added

    async def _end(self, ending: list[ActiveFault]) -> list[str]:
        for one in ending:
            one.ending.set()
        for one in ending:
            assert one.task is not None
            await asyncio.shield(one.task)
        return [one.spec.name for one in ending]

    async def _run(self, fault: ActiveFault) -> None:
        """Follow the decisions of one fault until it is over or ended; at the end it does not act."""
        lasts = declaration(fault.spec).lasts
        try:
            for decision in decisions([fault.spec], self._topology):
                if await _ended(fault, fault.begin + decision.at):
                    break
                if decision.phase is Phase.APPLY:
                    await self._apply(fault, decision)
                else:
                    await self._heal(fault)
            else:
                if fault.decision is not None and lasts:
                    await fault.ending.wait()
            if fault.decision is not None:
                await self._heal(fault)
        except Exception as error:
            if not fault.first.done():
                fault.first.set_exception(error)
            raise
        finally:
            self._active.pop(fault.spec.name, None)
            self._on_change()
            if not fault.first.done():
                fault.first.cancel()  # it was ended before it acted

    async def _apply(self, fault: ActiveFault, decision: Decision) -> None:
        lasts = declaration(fault.spec).lasts
        began, failure = time.time(), None
        fault.decision = decision if lasts else None
        try:
            for effect in _effects(fault.spec, decision):
                await self._executor.apply(effect, fault.token)
        except LabError as error:
            failure = error
        await self._record(fault.spec, decision, Phase.APPLY, began, failure)
        if not lasts:
            await self._record(fault.spec, decision, Phase.HEAL, time.time(), None)
        if not fault.first.done():
            if failure is None:
                fault.first.set_result(None)
            else:
                fault.first.set_exception(failure)
                fault.first.exception()  # retrieved: a schedule's are in the events

    async def _heal(self, fault: ActiveFault) -> None:
        decision, fault.decision = fault.decision, None
        if decision is None:
            return
        began, failure = time.time(), None
        for effect in _effects(fault.spec, decision):
            try:
                await self._executor.heal(effect, fault.token)
            except LabError as error:
                failure = failure or error
        await self._record(fault.spec, decision, Phase.HEAL, began, failure)

    async def _record(
        self, spec: FaultSpec, decision: Decision, phase: Phase, began: float, failure: LabError | None
    ) -> None:
        event = FaultEvent(
            number=next(self._numbers),
            phase=str(phase),
            name=spec.name,
            action=spec.action,
            occurrence=decision.occurrence,
            servers=list_servers(spec, decision.targets),
            fields=fault_fields(spec, decision.targets),
            began=began,
            at=time.time(),
            error="" if failure is None else describe(failure),
        )
        log.info("fault %s (%s): %s %s", spec.name, spec.action, phase, event.error)
        async with self._news:
            self.events.append(event)
            del self.events[:-MOST_EVENTS]
            self._news.notify_all()
        self._on_change()
        self._on_event(event)


def fault_fields(spec: FaultSpec, targets: Iterable[Target]) -> dict[str, Plain]:
    """What describes a fault in a history: its fields as plain data, and the directions or people that it acts on."""
    declared = declaration(spec)
    fields = declared.plain(declared.read(spec.fields))
    if declared.target is FaultTarget.LINKS:
        return {"links": " | ".join(" ".join(one) for one in targets), **fields}
    if declared.target is FaultTarget.PEOPLE:
        return {"people": " ".join("@".join(one) for one in targets), **fields}
    return fields


def _effects(spec: FaultSpec, decision: Decision) -> list[Effect]:
    declared = declaration(spec)
    assert declared.effects is not None
    return list(declared.effects(declared.read(spec.fields), decision.targets))


async def _ended(fault: ActiveFault, at: float) -> bool:
    """Wait until that time; whether the fault was ended before."""
    left = at - time.monotonic()
    if left <= 0:
        return fault.ending.is_set()
    try:
        await asyncio.wait_for(fault.ending.wait(), left)
    except TimeoutError:
        return False
    return True
