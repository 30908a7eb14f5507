"""The id of each message of a load, which contains all that is needed to judge its delivery.

Fields: the sender (which also identifies the worker), the target, the number of the message between the two, when it
was due and when it was written. Servers do not change ids between each other and in rooms (XEP-0045 section 7.4 asks
for it), so that delay, loss, duplicates and order follow from the id alone, whichever process receives the message.
Times are of CLOCK_MONOTONIC (clock_gettime(2)), which is the same in all processes of one machine.
"""

from __future__ import annotations

from binascii import hexlify
from struct import Struct
from struct import error as struct_error

_LAYOUT = Struct(">BIIIQQ")
#: Characters of an id; an id of another length is not from a load.
LENGTH = 2 * _LAYOUT.size

# Flags.
WARMUP = 1  # due before the steady state: counted apart
ROOM = 2  # the target is the number of a room, not of a user
DELIVERY_REPORT = 4  # closed model: tells a sender of another worker that its message was delivered
PRESENCE = 8  # a presence, for everybody who is subscribed to the sender; the target is the sender

#: Flags, sender, target, sequence, intended and actual time in ns of CLOCK_MONOTONIC. A plain tuple: one per message.
MessageId = tuple[int, int, int, int, int, int]

_pack = _LAYOUT.pack
_unpack = _LAYOUT.unpack


def encode_message_id(flags: int, sender: int, target: int, sequence: int, intended: int, actual: int) -> bytes:
    """The id of a message that was due at `intended` and is written at `actual`, both in ns of CLOCK_MONOTONIC."""
    return hexlify(_pack(flags, sender, target, sequence, intended, actual))


def decode_message_id(text: str) -> MessageId | None:
    """The fields of an id, None if it is not from a load."""
    if len(text) != LENGTH:
        return None
    try:
        fields: MessageId = _unpack(bytes.fromhex(text))
    except (ValueError, struct_error):
        return None
    return fields


def encode_delivery_report(fields: MessageId) -> bytes:
    """The id with which a receiver tells a sender of another worker that its message was delivered."""
    return hexlify(_pack(fields[0] | DELIVERY_REPORT, *fields[1:]))
