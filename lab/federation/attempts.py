"""What becomes of an attempt to write to somebody: read, refused, returned, accepted in silence, or sent in the clear.

Nothing is concluded from time alone. Behind the message a ping is sent to the receiver's device, on the same streams
(XEP-0199): once it is answered, a message that was not received before it is lost, and one that nobody returned is lost
in silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from lab.declarations.encryptions import is_end_to_end
from lab.errors import PeerError, TimedOut, UserError

if TYPE_CHECKING:
    from lab.federation.devices import Device
    from lab.federation.messages import Message
    from lab.federation.people import Person

PING = "urn:xmpp:ping"

#: Characters of a text that a device encrypts: a shorter one may be found in ciphertext that does not have it.
SHORTEST = 12

READ, UNREAD, REFUSED = "read", "unread", "refused"
RETURNED, LOST, EXPOSED = "returned", "lost", "exposed"


@dataclass(frozen=True)
class Attempt:
    """What became of an attempt to write to somebody."""

    #: "read"; "unread": the receiver's device got it and cannot read it; "refused": nothing was sent; "returned" with a
    #: stanza error; "lost": accepted, and no device got it, nobody was told; "exposed": in the clear, although the
    #: sender's device was to encrypt.
    result: str
    encryption: str = ""  # that the message had, "plain" for none; "" where nothing was sent
    reason: str = ""  # the error's text or condition

    def __str__(self) -> str:
        said = f"{self.result} ({self.encryption})" if self.encryption else self.result
        return f"{said}: {self.reason}" if self.reason else said


async def attempt(sender: Person, receiver: Person, text: str) -> Attempt:
    """See `Person.attempt`."""
    device, other = sender.connected_device("attempt"), receiver.connected_device("be written to")
    secret = is_end_to_end(device.encryption)
    if secret and len(text) < SHORTEST:
        raise UserError(f"attempt: {text!r} may stand in ciphertext by chance: take `federation.secret()`")
    try:
        message = await device.send(receiver, text)
    except PeerError as error:
        exposed = secret and _shows(device, text, "out")
        return Attempt(EXPOSED, "plain", str(error)) if exposed else Attempt(REFUSED, "", str(error))
    await _ping(device, other)
    found = await _find_result(message, other)
    if secret and (_shows(device, text, "out") or _shows(other, text, "in") or found.encryption == "plain"):
        return Attempt(EXPOSED, "plain", found.result)
    return found


async def _find_result(message: Message, other: Device) -> Attempt:
    """What became of a message behind which a ping was answered."""
    got = any(one.id == message.id and one.direction == "in" for one in other.stanzas)
    if got:  # all that is missing is that it is decrypted
        await message.outcome()
    delivery = next((one for one in message.deliveries if one.device == other.jid), None)
    if delivery is not None:
        if delivery.text == message.text:
            return Attempt(READ, delivery.encryption)
        usual = "its device announces no encryption" if delivery.text is None else "it reads another text"
        return Attempt(UNREAD, delivery.encryption, other.unread.get(message.id, usual))
    if message.bounces:
        return Attempt(RETURNED, message.encryption, message.bounces[0].condition)
    if got:
        raise TimedOut(f"{other.jid} got {message} and has not said whether it can read it")
    return Attempt(LOST, message.encryption)


async def _ping(device: Device, other: Device) -> None:
    """Return once the other device has answered. Raises PeerError if somebody else has, TimedOut if nobody."""
    answer = await device.iq(f"<iq type='get' to={quoteattr(other.jid)}><ping xmlns='{PING}'/></iq>")
    if answer.type == "error" and answer.condition not in ("feature-not-implemented", "service-unavailable"):
        raise PeerError(f"a ping to {other.jid} was answered with {answer.condition}: nothing can be said of messages")
    pinged = any(one.direction == "in" and one.name == "iq" and one.id == answer.id for one in other.stanzas)
    if not pinged:
        raise PeerError(f"a ping to {other.jid} was answered, but not by that device: nothing can be said of messages")


def _shows(device: Device, text: str, direction: str) -> bool:
    """Whether a message of a device has a text in it as it is."""
    messages = (one for one in device.stanzas if (one.name, one.direction) == ("message", direction))
    return any(text in found for one in messages for found in one.element.itertext())
