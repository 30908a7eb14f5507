"""Forgery: who said something is proved by the stream on which it was received.

A server speaks for its own domain only. What it receives on a stream of another server must be from somebody of that
server, or it ends the stream (RFC 6120 section 8.1.2.2). So a message in the name of somebody else that is handed to a
device, sent on, or answered with an error to the one whose name it bears, is a failure of the server that took it.
"""

from __future__ import annotations

from collections.abc import Iterator

from lab.checks.trace import quote
from lab.checks.verdict import Finding, Value
from lab.history.events import Sent, ServerSaw
from lab.metrics.jids import get_domain, strip_resource
from lab.metrics.record import RunRecord

_CAUSE = "{} does not compare the sender with the domain of the stream (RFC 6120 section 8.1.2.2)"


def find_forgeries(record: RunRecord) -> Iterator[Finding]:
    """One finding for each forged message and server that took it."""
    told: set[tuple[str, str]] = set()
    for finding in (*_announced(record), *_seen(record)):
        key = (finding.message or "", finding.servers[-1])
        if key not in told:
            told.add(key)
            yield finding


def _announced(record: RunRecord) -> Iterator[Finding]:
    """What a scripted server sent in the name of somebody else."""
    for _, sent in record.messages:
        if not sent.claimed:
            continue
        handed = [one.device for one in record.deliveries.get(sent, ())]
        answered = [
            one.device
            for one in record.bounces.get(sent, ())
            if strip_resource(one.device) == strip_resource(sent.claimed)
        ]
        taken = f"reached {handed[0]}" if handed else f"was answered to {answered[0]}" if answered else ""
        if taken:
            yield _finding(record, sent, taken)


def _finding(record: RunRecord, sent: Sent, taken: str) -> Finding:
    servers = record.path(sent)
    text = f"Message {sent.message} {taken} as if from {sent.claimed}: it was sent on a stream of {sent.sender}."
    stanzas = quote(record.seen.get(sent, []))
    return Finding(Value.FAILED, text, sent.message, servers, _CAUSE.format(servers[-1]), "", stanzas)


def _seen(record: RunRecord) -> Iterator[Finding]:
    """What a server received on a stream of a domain that is not the sender's, and sent on."""
    received = [one for one in record.of(ServerSaw) if (one.stream, one.direction) == ("s2s", "in") and one.id]
    own = {_key(one) for one in received if not one.peer or not _forged(record, one)}
    sent_on = {_key(one): one for one in record.of(ServerSaw) if one.direction == "out" and one.id}
    for one in received:
        if one.peer and _forged(record, one) and _key(one) in sent_on and _key(one) not in own:
            source = record.find_server(one.peer)
            servers = (*((source.name,) if source else ()), one.server)
            what = f"{one.server} received a {one.name} {one.id} from {one.sender}"
            stanzas = quote([one, sent_on[_key(one)]])
            yield Finding(
                Value.FAILED,
                f"{what} on a stream of {one.peer}, and sent it on.",
                one.id,
                tuple(dict.fromkeys(servers)),
                _CAUSE.format(one.server),
                "",
                stanzas,
            )


def _key(event: ServerSaw) -> tuple[str, str, str | None, str | None]:
    return event.server, event.name, event.id, event.sender


def _forged(record: RunRecord, event: ServerSaw) -> bool:
    if event.sender is None:
        return False
    claimed, proved = record.find_server(event.sender), record.find_server(event.peer)
    same = claimed == proved if claimed or proved else get_domain(event.sender) == event.peer
    return not same and not get_domain(event.sender).endswith(f".{event.peer}")
