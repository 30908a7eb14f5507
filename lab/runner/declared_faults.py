"""The declared faults of a run: they act from the scenario's first step on, and are healed when the scenario is over.

Each time that one is applied or healed is recorded as FaultApplied and FaultHealed, with its name as the field `name`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from lab.declarations.effects import DeviceOutage, Effect
from lab.errors import UserError
from lab.faults.client_connection import LostConnection, client
from lab.federation import Federation
from lab.history.events import Event, FaultApplied, FaultHealed, Step
from lab.lifecycle.faults import FaultSession
from lab.network.fault_engine import FaultEvent
from lab.topology.spec import FaultSpec

NEVER = (
    "the declared faults were never applied: their times count from the scenario's first step, and it has none "
    '(`with step("…"):`)'
)


class _Devices:
    """Carries out the faults of a scenario's people, on the devices that they have when it begins."""

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self._applied: dict[tuple[str, DeviceOutage], list[LostConnection]] = {}

    async def apply(self, effect: Effect, token: str) -> None:
        """Lose or stall the connections. Raises UserError if there is no such person, or none is connected."""
        assert isinstance(effect, DeviceOutage)
        people = [one for one in self._federation.participants.people
                  if effect.person in (one.name, one.asked_name) and one.server.name == effect.server]  # fmt: skip
        if not people:
            raise UserError(f"the scenario has no person {effect.person} on {effect.server} now")
        devices = [device for person in people for device in person.devices if device.connected]
        if not devices:
            raise UserError(f"no device of {effect.person}@{effect.server} is connected")
        applied = self._applied.setdefault((token, effect), [])
        for device in devices:
            fault = client(device, how=effect.how)
            await fault.apply(self._federation)
            applied.append(fault)

    async def heal(self, effect: Effect, token: str) -> None:
        """Connect them again, and let bytes pass. Raises LabError."""
        assert isinstance(effect, DeviceOutage)
        for fault in self._applied.pop((token, effect), []):
            await fault.heal(self._federation)


class RunFaults:
    """For the length of an `async with` block: the faults start with the first step, and are healed at its end."""

    def __init__(self, federation: Federation, specs: Sequence[FaultSpec], *, at_once: bool = False) -> None:
        """With `at_once` they start with the block, and wait for no step."""
        self._federation, self._specs, self._at_once = federation, specs, at_once
        self._session = FaultSession(federation.lab, self._record, devices=_Devices(federation)) if specs else None
        self._numbers: dict[tuple[str, int], int] = {}
        self._starting: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._end_listening: Callable[[], None] = lambda: None

    @property
    def missed(self) -> bool:
        """Whether there are faults, and none could act because there was no step."""
        return bool(self._specs) and self._starting is None

    async def __aenter__(self) -> Self:
        if not self._specs:
            return self
        if self._at_once:
            self._begin(self._federation.history.now())
        else:
            self._end_listening = self._federation.history.on_event(self._on_event)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.end()

    async def end(self) -> None:
        """Heal all faults; none acts once this returns. Raises what kept them from starting or healing."""
        self._end_listening()
        try:
            if self._starting is not None:
                await asyncio.shield(self._starting)
        finally:
            if self._session is not None:
                await self._session.close()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Step):
            self._end_listening()
            self._loop.call_soon_threadsafe(self._begin, event.at)

    def _begin(self, at: float) -> None:
        if self._starting is None and self._session is not None:
            self._starting = asyncio.create_task(self._session.start(self._specs, at))

    def _record(self, event: FaultEvent) -> None:
        occurrence = event.name, event.occurrence
        number = self._numbers.get(occurrence)
        if number is None:
            number = self._numbers[occurrence] = self._federation.next_injection()
        history = self._federation.history
        if event.phase == "heal":
            history.record(
                FaultHealed(at=event.at, number=number, fault=event.action, began=event.began, error=event.error)
            )
            return
        history.record(
            FaultApplied(
                at=event.at,
                number=number,
                fault=event.action,
                began=event.began,
                servers=event.servers,
                fields=(("name", event.name), *event.fields.items()),
                error=event.error,
            )
        )
