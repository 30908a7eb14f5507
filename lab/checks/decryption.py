"""Decryption: an encrypted message that was delivered is decrypted, to the text that was sent, by each expected device
whose encryption is on, and by each that it has a key for: the sender's own others, and who reads a room's archive.

No device with published keys is left out of it, unless its sender has distrusted the key.

One success is enough: a copy from an archive cannot be decrypted a second time, as its key is used up. A device that
announces no encryption cannot read it: that is a failure where no other device of the person has read it. Of one
without a known encryption that tried nothing, nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator

from lab.checks.cause import describe_attacks, describe_changed_keys
from lab.checks.trace import quote
from lab.checks.verdict import Finding, Value
from lab.declarations.encryptions import is_end_to_end
from lab.history.events import LeftOut, Sent
from lab.metrics.jids import strip_resource
from lab.metrics.record import RunRecord


def find_undecrypted(record: RunRecord) -> Iterator[Finding]:
    """One finding for each device that did not read an encrypted message as it was sent."""
    yield from _left_out(record)
    for index, sent in record.messages:
        if not is_end_to_end(sent.encryption):
            continue
        got = {one.device for one in record.deliveries.get(sent, ())}
        with_key = (device for device, key in record.omemo_devices.items() if key in record.keys.get(sent, ()))
        for device in dict.fromkeys((*record.addressees(index, sent), *with_key)):
            if device == sent.sender:
                continue  # what a room returns to it is encrypted for all the others
            if device in got and is_end_to_end(record.encryptions.get(device, "")):
                yield from _of_device(record, index, sent, device)
            elif device in got:
                yield from _without_encryption(record, sent, device)


def _without_encryption(record: RunRecord, sent: Sent, device: str) -> Iterator[Finding]:
    """A device without encryption got it, and no other one of the person has read it."""
    person = strip_resource(device)
    if any(strip_resource(one.device) == person for one in record.decrypted.get(sent, ())):
        return
    what = f"{device}, which announces no encryption, got it and cannot read it, and no other device of {person} has"
    yield _finding(record, sent, Value.FAILED, what, "keys of another device were found: that one was not online")


def _left_out(record: RunRecord) -> Iterator[Finding]:
    """Devices that could not read a message because nobody encrypted it for them."""
    for one in record.of(LeftOut):
        sent = record.with_id(one.message, one.sender)
        if sent is None or one.excluded or one.published is False:
            continue
        device = f"OMEMO device {one.omemo_device} of {one.owner} was left out"
        if one.published:
            yield _finding(record, sent, Value.FAILED, f"{device}, though its keys are published", one.reason)
        else:
            yield _finding(record, sent, Value.UNKNOWN, f"{device}; whether it has keys is not known", one.reason)


def _of_device(record: RunRecord, index: int, sent: Sent, device: str) -> Iterator[Finding]:
    read = [one for one in record.decrypted.get(sent, ()) if one.device == device]
    if any(one.matches for one in read):
        return
    if any(one.matches is False for one in read):
        yield _finding(
            record, sent, Value.FAILED, f"{device} read another text than was sent", "it was changed on the way"
        )
    elif read and sent in record.foreign.values():
        return  # another client wrote it: what it said is not known, and that it could be read is all there is to say
    elif read:
        yield _finding(record, sent, Value.UNKNOWN, f"{device} decrypted it; what was sent is not known", "")
    elif failed := [one for one in record.not_decrypted.get(sent, ()) if one.device == device]:
        changed = describe_changed_keys(record, sent, failed[-1].at)
        cause = ", ".join(filter(None, (changed, failed[-1].reason)))
        yield _finding(record, sent, Value.FAILED, f"{device} could not decrypt it", cause)
    elif not record.encryptions.get(device):
        yield _finding(record, sent, Value.UNKNOWN, f"whether {device} can decrypt at all is not recorded", "")
    else:
        route = record.route(index, sent, device)
        value = Value.FAILED if route and route.proves else Value.UNKNOWN
        yield _finding(record, sent, value, f"{device} got it and neither decrypted it nor said why not", "")


def _finding(record: RunRecord, sent: Sent, value: Value, what: str, cause: str) -> Finding:
    servers = record.path(sent)
    cause = ", ".join(filter(None, (describe_attacks(record, sent), cause)))
    text = (
        f"Message {sent.message} from {strip_resource(sent.sender)} ({' - '.join(servers)}, {sent.encryption}): {what}."
    )
    return Finding(value, text, sent.message, servers, cause, "", quote(record.seen.get(sent, [])))
