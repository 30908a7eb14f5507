"""A message that was sent, and the way to what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.federation.outcomes import Bounce, Delivers, Delivery, Outcome, Promise

if TYPE_CHECKING:
    from lab.federation.people import Device, Person
    from lab.federation.rooms import Room

# A message over a fresh server-to-server stream takes a second or two (DNS, TCP, TLS, SASL); a machine under load
# takes several times that. Past this, something is wrong.
DELIVERY_DEADLINE = 30.0
# What a promised refusal may take longer on a busy machine than the table of refusals says.
REFUSAL_GRACE = 10.0


@dataclass
class Message:
    """A message handed to its sender's stream; `outcome()` tells what became of it."""

    id: str
    text: str
    sender: Person
    device: Device  # that sent it
    receiver: Person | Room
    encryption: str
    promise: Promise
    expected: tuple[str, ...]  # full JIDs that were connected when it was sent; or the bare JID of who was not
    marker: bool = False
    deliveries: list[Delivery] = field(default_factory=list)
    bounces: list[Bounce] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def settled(self) -> bool:
        """True once it bounced, or everyone who was expected to get it has got it."""
        if self.bounces:
            return True
        reached = {one.device for one in self.deliveries}
        bares = {device.split("/")[0] for device in reached}
        return all(one in reached or one in bares for one in self.expected)

    async def outcome(self, within: float | None = None) -> Outcome:
        """What became of the message: returns when it is settled, or after `within` seconds."""
        deadline = within if within is not None else self._deadline()
        await self._until(lambda: self.settled, deadline)
        return Outcome(tuple(self.deliveries), tuple(self.bounces), self.settled, self.id)

    async def read_by(self, *devices: Device, within: float | None = None) -> dict[Device, str | None]:
        """What each of these devices reads: waits until all have got it, or for `within` seconds.

        None for a device that could not decrypt it; a device that did not get it at all is left out.
        """
        wanted = {device.jid for device in devices}

        def got() -> dict[str, str | None]:
            return {one.device: one.text for one in self.deliveries if one.device in wanted}

        await self._until(lambda: got().keys() == wanted, within if within is not None else self._deadline())
        texts = got()
        return {device: texts[device.jid] for device in devices if device.jid in texts}

    async def _until(self, holds: Callable[[], bool], deadline: float) -> None:
        """Return once it holds, or when the deadline has passed: what was reached by then is for others to judge."""
        try:
            async with asyncio.timeout(deadline):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return

    def add_delivery(self, delivery: Delivery) -> None:
        """Take note that a device got it."""
        self.deliveries.append(delivery)
        self._changed.set()

    def add_bounce(self, bounce: Bounce) -> None:
        """Take note that it came back."""
        self.bounces.append(bounce)
        self._changed.set()

    def _deadline(self) -> float:
        return DELIVERY_DEADLINE if isinstance(self.promise, Delivers) else self.promise.within + REFUSAL_GRACE

    def __str__(self) -> str:
        return f"message {self.id} from {self.device.jid} to {self.receiver}"
