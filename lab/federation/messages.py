"""Messages that were sent, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.errors import NotReceived
from lab.federation.context import describe_duration, read_duration
from lab.federation.outcomes import Bounce, Delivers, Delivery, Outcome, Promise, Receipt

if TYPE_CHECKING:
    from lab.federation.devices import Device
    from lab.federation.guests import Guest
    from lab.federation.people import Person
    from lab.federation.rooms import Room

# All in seconds.
# A message over a new server-to-server stream takes a second or two (DNS, TCP, TLS, SASL); on a busy machine several
# times that. After this time, something is wrong.
DELIVERY_DEADLINE = 30.0
# How much longer a promised refusal may take on a busy machine than the table of refusals says.
REFUSAL_GRACE = 10.0
# Whether its sender is told that a message was blocked is up to the servers (XEP-0191 section 3.2).
BLOCKED_DEADLINE = 5.0


@dataclass
class Message:
    """A message that was written to its sender's stream; `outcome()` returns what happened to it."""

    id: str  # the stanza's id attribute, unique in the run
    text: str
    sender: Person | Guest
    device: Device | Guest  # that sent it; of a guest the lab has none
    receiver: Person | Guest | Room
    encryption: str  # "plain", "omemo", "omemo:2"
    promise: Promise
    expected: tuple[str, ...]  # full JIDs that must get it (RFC 6121 section 8.5); or the bare JID: whoever comes next
    to_device: Device | None = None  # where it was addressed to one device, by its full JID
    marker: bool = False  # sent by settle(), not by the scenario
    in_room: bool = False  # it is for the occupants of a room
    blocked: bool = False  # one of the two had blocked the other when it was sent (XEP-0191): it is for nobody
    corrects: str = ""  # the id of the message that it replaces (XEP-0308)
    encrypted_for: frozenset[int] = frozenset()  # OMEMO device ids: who can read it, but for the device that sent it
    deliveries: list[Delivery] = field(default_factory=list)
    bounces: list[Bounce] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)  # of devices that said that they have it (XEP-0184)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def settled(self) -> bool:
        """True once it has bounced, or each device that was expected to receive it has received it."""
        if self.bounces or self.blocked:
            return bool(self.bounces or self.deliveries)
        reached = {one.device for one in self.deliveries}
        bares = {device.split("/")[0] for device in reached}
        return all(one in reached or one in bares for one in self.expected)

    async def outcome(self, within: str | float | None = None) -> Outcome:
        """What became of the message: all its deliveries and bounces (RFC 6121 section 8.5, RFC 6120 section 8.3).

        Returns when it is settled, or after `within`: seconds, or a text such as "10s". Without `within` the deadline
        is 30 seconds, or that of the promised refusal and 10 seconds more, with an allowance for the latency and the
        rate that the topology gives the links. Nothing is raised where the deadline passes:
        `Outcome.settled` is then False. Of a message that was blocked (XEP-0191) nothing is expected: without `within`
        it is waited 5 seconds for an error, and it is settled then, too.
        """
        await self._until(lambda: self.settled, self._deadline() if within is None else read_duration(within))
        return Outcome(tuple(self.deliveries), tuple(self.bounces), self.settled or self.blocked, self.id)

    async def read_by(self, *devices: Device, within: str | float | None = None) -> dict[Device, str | None]:
        """The text that each of these devices reads; returns when all have received it, or after `within`.

        `within` is in seconds, or a text such as "10s", with the default of `outcome`. The text read is None
        for a device that could not decrypt it; a device that did not get it at all is left out.
        """
        wanted = {device.jid for device in devices}

        def got() -> dict[str, str | None]:
            return {one.device: one.text for one in self.deliveries if one.device in wanted}

        await self._until(lambda: got().keys() == wanted, self._deadline() if within is None else read_duration(within))
        texts = got()
        return {device: texts[device.jid] for device in devices if device.jid in texts}

    async def acknowledged(self, within: str | float | None = None) -> Receipt:
        """The first receipt for the message (XEP-0184); it must have been sent with `receipt=True`.

        `within` is in seconds, or a text such as "10s". Raises NotReceived, which fails a run.
        """
        within = DELIVERY_DEADLINE + self.allowance() if within is None else within
        await self._until(lambda: bool(self.receipts), read_duration(within))
        if not self.receipts:
            raise NotReceived(
                f"{self} was not acknowledged within {describe_duration(within)}", (f"it is {await self.outcome(0)}",)
            )
        return self.receipts[0]

    async def _until(self, holds: Callable[[], bool], deadline: float) -> None:
        """Return once it holds, or when the deadline has passed: the caller judges what was reached by then."""
        try:
            async with asyncio.timeout(deadline):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return

    def excuse(self, device: Device) -> None:
        """Take a device out that is no occupant of the room any more; called by the federation."""
        self.expected = tuple(one for one in self.expected if one != device.jid)
        self._changed.set()

    def add_delivery(self, delivery: Delivery) -> None:
        """Add a delivery to a device; called by the federation."""
        self.deliveries.append(delivery)
        self._changed.set()

    def add_receipt(self, receipt: Receipt) -> None:
        """Add a receipt that its sender got; called by the federation."""
        self.receipts.append(receipt)
        self._changed.set()

    def add_bounce(self, bounce: Bounce) -> None:
        """Add a stanza error that its sender received; called by the federation."""
        self.bounces.append(bounce)
        self._changed.set()

    def _deadline(self) -> float:
        if self.blocked:
            return BLOCKED_DEADLINE + self.allowance()
        usual = DELIVERY_DEADLINE if isinstance(self.promise, Delivers) else self.promise.within + REFUSAL_GRACE
        return usual + self.allowance()

    def allowance(self) -> float:
        """Seconds that it and the answer to it may take more than on fast links; what is said in a room takes two."""
        context, to = self.sender.context, self.receiver.server.name
        onwards = context.largest_allowance(to) if self.in_room else 0.0
        return context.allowance(self.sender.server.name, to) + onwards

    def __str__(self) -> str:
        return f"message {self.id} from {self.device.jid} to {self.receiver}"
