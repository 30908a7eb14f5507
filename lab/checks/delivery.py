"""Delivery: every message has the outcomes it should have, each of them once.

A message has a *set* of outcomes: deliveries to devices (live, from the offline store, from an archive, as a carbon
copy) and bounces (stanza errors). Where sender's and receiver's servers are linked:

- every device that was expected to get it gets it exactly once; a copy from the archive is no second time, a carbon
  of what the device has got itself is one (XEP-0280);
- it is not delivered *and* bounced; a bounce alone is right: its sender knows (whether the link should have
  delivered is judged by `reachability`);
- neither is lost, if a marker that was sent after it on the same route arrived and no stream broke; else unknown;
  behind what a client of somebody's own sent, any marker from its server to that device will do;
- it reaches nobody to whom it was not sent, and names its sender rightly: the one on whose stream it was sent. What a
  client of somebody's own sends counts as theirs, proved by the feed of their server;
- a bounce is about a message that somebody sent.

Between servers without a link only what did happen is judged here. Order, decryption, wrong keys, forged
senders: order.py, decryption.py, keys.py, forgery.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from lab.checks import decryption, durability, forgery, keys, order
from lab.checks.cause import describe_attacks
from lab.checks.trace import quote, trace
from lab.checks.verdict import Finding, Value, Verdict, build_verdict, pluralize
from lab.history.events import Bounced, Delivered, Disconnected, Sent, ServerSaw
from lab.metrics.jids import strip_resource
from lab.metrics.losses import ONCE, ORIGINALS, Missing, find_missing_of, was_gone_before
from lab.metrics.record import RunRecord

NAME = "delivery"


def check(record: RunRecord) -> Verdict:
    """Judge the outcomes, the order and the decryption of every message of the scenario."""
    findings = [
        *_messages(record),
        *forgery.find_forgeries(record),
        *_unsent(record),
        *_bounces_of_unsent(record),
        *_ids_used_twice(record),
        *order.find_disorder(record),
        *decryption.find_undecrypted(record),
        *keys.find_wrong_keys(record),
    ]
    count = len(record.messages)
    return build_verdict(NAME, count, findings, _good(record), "No message was sent.")


def _good(record: RunRecord) -> str:
    bounced = sum(1 for _, sent in record.messages if record.bounces.get(sent))
    delivered = sum(1 for _, sent in record.messages if record.arrivals(sent))
    handed = sum(1 for _, sent in record.messages if record.handed_over(sent))
    unknown = f" {handed} handed to clients that are not the lab's: what these made of them is not known."
    return (
        f"{pluralize(len(record.messages), 'message')}: {delivered} delivered once to each device that should get it, "
        f"in order; {bounced} bounced." + (unknown if handed else "")
    )


def describe(record: RunRecord, sent: Sent) -> str:
    """ "Message m1 from alice@a.test to bob@b.test (a - b)"."""
    sender, receiver = strip_resource(sent.sender), strip_resource(sent.receiver)
    return f"Message {sent.message} from {sender} to {receiver} ({' - '.join(record.path(sent))})"


def _messages(record: RunRecord) -> Iterator[Finding]:
    exposed = durability.find_exposed(record)
    for index, sent in record.messages:
        if sent.claimed:
            continue
        yield from _twice(record, sent)
        yield from _both(record, sent)
        yield from _misdelivered(record, sent)
        yield from _against_presence(record, index, sent)
        yield from _against_blocking(record, index, sent)
        yield from _handed_twice(record, sent)
        yield from (
            _absent(record, one, durability.NAME if sent in exposed else "")
            for one in find_missing_of(record, index, sent)
        )


def _twice(record: RunRecord, sent: Sent) -> Iterator[Finding]:
    originals = [one for one in record.deliveries.get(sent, ()) if one.via in ORIGINALS]
    # What somebody writes to themselves goes to their devices, and as a carbon to those that did not send it.
    once = ORIGINALS if strip_resource(sent.sender) == strip_resource(sent.receiver) else ONCE
    handed = [one for one in record.deliveries.get(sent, ()) if one.via in once]
    for device in dict.fromkeys(one.device for one in handed):
        times = [one for one in handed if one.device == device]
        if len(times) > 1 and not _unacknowledged(record, sent, times):
            vias = " and ".join(one.via for one in times)
            yield _failed(
                record,
                sent,
                f"was delivered {len(times)} times to {device} ({vias})",
                _duplicator(record, sent, times),
            )
    stored = {one.device for one in originals if one.via == "offline"}
    if len(stored) > 1 and not sent.room and not _unacknowledged(record, sent, originals):
        cause = "an offline store that is delivered more than once"
        yield _failed(
            record, sent, f"was delivered from the offline store to several devices: {', '.join(stored)}", cause
        )


def _unacknowledged(record: RunRecord, sent: Sent, times: list[Delivered]) -> bool:
    """Whether a stream broke before a stanza was acknowledged, so that it was rightly sent again (XEP-0198).

    That of the device on which it came before the last time, or one between the two servers.
    """
    *earlier, last = (one.stream for one in times)
    if len({*earlier, last}) == len(times) and any(
        one.stream in earlier and sent.message in one.unacknowledged for one in record.of(Disconnected)
    ):
        return True
    servers = record.path(sent)
    outage = record.outages.between(servers[0], servers[-1], sent.at, times[-1].at) if len(servers) > 1 else None
    return outage is not None and outage.known


def _duplicator(record: RunRecord, sent: Sent, times: Sequence[Delivered]) -> str:
    """The attack, or the server, that sent more copies than it received."""
    if attacks := describe_attacks(record, sent):
        return attacks
    if any(one.via == "carbon" for one in times):
        home = record.find_server(times[0].device)
        return f"{home.name if home else 'a server'} sends a carbon copy to a device that has the message (XEP-0280)"
    seen = [event for event in record.seen.get(sent, ()) if event.type != "error"]
    for name in record.path(sent):
        streams = {
            side: sum(1 for one in seen if (one.server, one.direction) == (name, side)) for side in ("in", "out")
        }
        if streams["in"] == 1 < streams["out"]:
            return f"{name} received it once and sent it {streams['out']} times"
    return "a server or the sender's device sent it more than once"


def _both(record: RunRecord, sent: Sent) -> Iterator[Finding]:
    got = [one for one in record.deliveries.get(sent, ()) if one.via in ORIGINALS]
    bounces = record.bounces.get(sent, ())
    if got and bounces and not sent.room and not _bounced_in_outage(record, sent, bounces):
        text = f"was delivered to {got[0].device} and bounced as well ({bounces[0].condition} by {bounces[0].by})"
        yield _failed(record, sent, text, "a stream broke before it was acknowledged, or a server answers wrongly")


def _bounced_in_outage(record: RunRecord, sent: Sent, bounces: Sequence[Bounced]) -> bool:
    """Whether its sender's server may not have known, when it returned it, that it had arrived (XEP-0198)."""
    servers = record.path(sent)
    if len(servers) < 2:
        return False
    outages = [record.outages.between(servers[0], servers[-1], sent.at, one.at) for one in bounces]
    return all(outage is not None and outage.known for outage in outages)


def _misdelivered(record: RunRecord, sent: Sent) -> Iterator[Finding]:
    if sent.room:  # it goes to the occupants, under the room's address
        return
    private = record.in_room(sent.receiver)  # a private message in a room (XEP-0045 section 7.5)
    mine = {strip_resource(sent.sender), strip_resource(sent.receiver), *(strip_resource(one) for one in sent.expected)}
    for one in record.deliveries.get(sent, ()):
        if strip_resource(one.device) not in mine and not private:
            yield _failed(
                record, sent, f"was delivered to {one.device}, to whom it was not sent", "a server misroutes it"
            )
        senders = {strip_resource(sent.receiver)} if private else {strip_resource(sent.sender)}
        if one.via in ORIGINALS and strip_resource(one.sender) not in senders:
            text = f"reached {one.device} as if {one.sender} had sent it"
            yield _failed(record, sent, text, "a server or device forged its sender")


def _against_presence(record: RunRecord, index: int, sent: Sent) -> Iterator[Finding]:
    """Live deliveries to a device of the right person that was not entitled to it (RFC 6121 section 8.5)."""
    if sent.room:
        return
    one_device = sent.receiver in sent.expected and "/" in sent.receiver
    for one in record.deliveries.get(sent, ()):
        if (
            one.via != "live"
            or strip_resource(one.device) != strip_resource(sent.receiver)
            or one.device in sent.expected
        ):
            continue
        if one_device and not was_gone_before(record, index, sent.receiver, one):
            what = f"was delivered to {one.device}, though it is addressed to {sent.receiver}"
            yield _failed(record, sent, what, "a server ignores the resource (RFC 6121 section 8.5.3)")
        elif not one_device and record.availability.takes_none(one.device, index):
            what = f"was delivered to {one.device}, which was not available or had a negative priority"
            yield _failed(record, sent, what, "a server ignores presence (RFC 6121 section 8.5.2)")


def _against_blocking(record: RunRecord, index: int, sent: Sent) -> Iterator[Finding]:
    """Deliveries of a message between two of whom one had blocked the other (XEP-0191 section 3)."""
    if sent.room or not record.block_lists.stops(sent, index) or record.block_lists.changed(sent, index):
        return
    for one in record.deliveries.get(sent, ()):
        if strip_resource(one.device) == strip_resource(sent.receiver) and one.via != "archive":
            what = f"was delivered to {one.device}, though one of the two had blocked the other"
            yield _failed(record, sent, what, "a server ignores a block list (XEP-0191)")


def _handed_twice(record: RunRecord, sent: Sent) -> Iterator[Finding]:
    """Messages that a server wrote twice to one stream of a client that is not the lab's.

    Unless it may have had to (XEP-0198 section 5): then the stream is closed in between, and whether is not known.
    """
    handed = record.handed_over(sent)
    for client in dict.fromkeys(one for one in handed if handed.count(one) > 1):
        if not any(one.peer == client for found in record.closed_streams.values() for one in found):
            what = f"was written {handed.count(client)} times to the stream of {client}"
            yield _failed(record, sent, what, "a server sends it more than once")


def _absent(record: RunRecord, one: Missing, check: str) -> Finding:
    """The finding about a message that did not reach somebody; `check` judges the same."""
    if one.lost:
        return replace(_lost(record, one.sent, one.device), check=check)
    what = f"did not reach {one.device}" if one.device else "was not seen again"
    return replace(_not_known(record, one.sent, what, one.why), check=check)


def _lost(record: RunRecord, sent: Sent, device: str) -> Finding:
    far = trace(record, sent)
    hop = f"; the last that saw it: {far.last_hop}" if far.last_hop else ""
    text = f"{describe(record, sent)} is lost: a marker sent after it reached {device}, it did not{hop}."
    return Finding(Value.FAILED, text, sent.message, record.path(sent), far.cause, far.last_hop, far.stanzas)


def _not_known(record: RunRecord, sent: Sent, what: str, why: str) -> Finding:
    far = trace(record, sent)
    text = f"{describe(record, sent)} {what}, and whether it is lost is not known: {why}."
    return Finding(Value.UNKNOWN, text, sent.message, record.path(sent), far.cause, far.last_hop, far.stanzas)


def _failed(record: RunRecord, sent: Sent, what: str, cause: str) -> Finding:
    stanzas = quote(record.seen.get(sent, []))
    text = f"{describe(record, sent)} {what}."
    return Finding(Value.FAILED, text, sent.message, record.path(sent), cause, trace(record, sent).last_hop, stanzas)


def _unsent(record: RunRecord) -> Iterator[Finding]:
    """Deliveries of messages that nobody sent."""
    told: set[str] = set()
    for one in record.deliveries.get(None, ()):
        if one.message in told or record.from_a_server(one.sender):
            continue
        if (one.message, one.sender) in record.written:
            continue  # an envelope without a text, such as a receipt: looks like a message from outside
        told.add(one.message)
        home = record.find_server(one.sender)
        # Who writes with a client of their own is seen by their server: without its feed nothing shows who it was.
        forged = strip_resource(one.sender) in record.people and home is not None and home.name in record.with_feed
        servers = tuple(each.name for each in (home, record.find_server(one.device)) if each)
        yield Finding(
            Value.FAILED if forged else Value.UNKNOWN,
            f"Message {one.message or 'without an id'} reached {one.device} as if from {one.sender}: nobody sent it.",
            one.message or None,
            tuple(dict.fromkeys(servers)),
            "a server or device forged it, or changed its id",
            "",
            quote(_seen_with(record, one.message)),
        )


def _bounces_of_unsent(record: RunRecord) -> Iterator[Finding]:
    """Stanza errors about messages that, by the history, nobody sent."""
    told: set[str] = set()
    for one in record.bounces.get(None, ()):
        if one.message in told:
            continue
        told.add(one.message)
        home, by = record.find_server(one.device), record.find_server(one.by)
        servers = tuple(dict.fromkeys(server.name for server in (home, by) if server))
        seen = _seen_with(record, one.message)
        sent = any((each.stream, each.direction) == ("c2s", "in") and each.type != "error" for each in seen)
        text = f"Message {one.message or 'without an id'} was bounced to {one.device} ({one.condition} by {one.by}): "
        if sent or not one.message:
            text += "the history does not have that it was sent."
            cause = "an event is missing from the history"
        else:
            text += "nobody sent it."
            cause = "a server answers what it was not asked, or an event is missing from the history"
        yield Finding(Value.UNKNOWN, text, one.message or None, servers, cause, "", quote(seen))


def _seen_with(record: RunRecord, message: str) -> list[ServerSaw]:
    """What servers saw under an id and belongs to no message that somebody sent."""
    return [one for one in record.seen.get(None, ()) if message and one.id == message and one.name == "message"]


def _ids_used_twice(record: RunRecord) -> Iterator[Finding]:
    """Messages that nothing tells apart: one sender, receiver and id. Without an id, that is nothing unusual."""
    used: set[tuple[str, str, str]] = set()
    for sent in record.of(Sent):
        key = (sent.sender, sent.receiver, sent.message)
        if key in used and sent.message:
            text = f"The id {sent.message} was used for two messages: what became of each is not known."
            yield Finding(Value.UNKNOWN, text, sent.message, record.path(sent))
        used.add(key)
