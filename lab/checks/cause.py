"""Why a message got no further: what servers, the name server and faults show, before anything is guessed.

Consulted in this order, between sending and the message's bounce or the end of the run:

1. attacks that acted on the message itself, and a server that drops what is encrypted
2. the sender's own stream, where its server never received the message: a stream error is quoted
3. a server that was down
4. streams between the two servers that ended with a stream error (RFC 6120 section 4.9.3)
5. DNS answers to the sender's server without a server-to-server address
6. streams between the two servers that could not be opened, or broke
7. the receiver's stream, where the message had reached the receiver's server
8. bounces of other messages on the same route
9. warnings and errors in the logs of the two servers that name the other end, and any other error
10. the message's own bounce

A fault that was active meanwhile is added to whatever is found, or is the cause itself where nothing is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lab.checks.verdict import LONGEST_VALUE, shorten
from lab.declarations.encryptions import is_end_to_end
from lab.history.events import (
    Bounced,
    Disconnected,
    Intervened,
    Sent,
    ServerStreamClosed,
)
from lab.metrics.jids import get_domain, strip_resource
from lab.metrics.record import RunRecord

# Seconds by which a server may notice, and a device not yet, that a stream has ended.
BEFORE = 0.5
# What is done to a stanza that says something else afterwards.
_CHANGES = ("replace", "append", "remove", "substitute")
# Of questions for `_xmpps-server` a name error is the usual answer: the lab has no such records.
SRV = "_xmpp-server._tcp."


@dataclass(frozen=True)
class Course:
    """How far a message got: the names of its sender's and receiver's server, and which of them received it."""

    sent: Sent
    a: str
    b: str
    at_a: bool
    at_b: bool
    until: float  # the time of its bounce, or of the end of the run

    def during(self, at: float) -> bool:
        """Whether it was on its way at that time."""
        return self.sent.at - BEFORE <= at <= self.until + BEFORE

    def later(self, at: float) -> str:
        """A time in words."""
        return f"{max(0.0, at - self.sent.at):.1f} s after it was sent"


def find_course(record: RunRecord, sent: Sent, a: str, b: str, *, at_a: bool, at_b: bool) -> Course:
    """The course of a message."""
    bounces = record.bounces.get(sent)
    return Course(sent, a, b, at_a=at_a, at_b=at_b, until=bounces[0].at if bounces else record.last_at)


def find_likely_cause(record: RunRecord, course: Course, otherwise: str) -> str:
    """The likely cause of a message's getting no further; `otherwise` where nothing but its course is known."""
    own = record.bounces.get(course.sent)
    if own:
        otherwise = f"{own[0].by} bounced it with {own[0].condition}{_text_of(own[0])}"
    return describe_evidence(record, course) or otherwise + _faults(record, course)


def describe_evidence(record: RunRecord, course: Course) -> str:
    """The likely cause as the history shows it beside the message's own bounce, "" if nothing shows any."""
    for consulted in _CONSULTED:
        found = next(consulted(record, course), "")
        if found:
            return found + _faults(record, course)
    return ""


def find_cause_of_end(record: RunRecord, detail: str) -> str:
    """Why a scenario broke off with an error that names a device: the stream error by which its stream ended, or ""."""
    for events in record.closed_streams.values():
        for event in reversed(events):
            if event.stream == "c2s" and event.condition and event.peer and event.peer in detail:
                return _client_stream(event, f"the stream of {event.peer}")
    return ""


def _why(closed: ServerStreamClosed) -> str:
    """ " with policy-violation (its text)", or what else is known of a stream's end."""
    if not closed.condition:
        return f": {closed.text}" if closed.text else ""
    text = f" ({shorten(closed.text, LONGEST_VALUE)})" if closed.text not in ("", closed.condition) else ""
    return f" with {closed.condition}{text}"


def _closed(record: RunRecord, course: Course, server: str, stream: str) -> Iterator[ServerStreamClosed]:
    for event in record.closed_streams.get(server, ()):
        if event.stream == stream and course.during(event.at):
            yield event


# -- what is consulted, in this order ---------------------------------------------------------------------------


def _attacks(record: RunRecord, course: Course) -> Iterator[str]:
    if text := describe_attacks(record, course.sent):
        yield text


def _policies(record: RunRecord, course: Course) -> Iterator[str]:
    """The server that drops encrypted messages, where it had it."""
    if not is_end_to_end(course.sent.encryption):
        return
    for name, reached in ((course.a, course.at_a), (course.b, course.at_b)):
        if reached and not record.topology.server(name).has("encrypted-messages"):
            yield f"{name} drops encrypted messages (`features: [-encrypted-messages]`)"


def describe_attacks(record: RunRecord, sent: Sent) -> str:
    """What attacks did to a message: "drop-stanzas acted on it between a and b (drop)", "" if nothing."""
    acted = (
        f"{one.attack} acted on it between {one.source} and {one.target} ({one.action})"
        for one in record.interventions.get(sent, ())
    )
    return ", ".join(dict.fromkeys(acted))


def describe_changed_keys(record: RunRecord, sent: Sent, until: float) -> str:
    """What attacks did by then to keys and lists that a message's sender asked its receiver's server for."""
    writer, owner = strip_resource(sent.sender), strip_resource(sent.receiver)
    acted = (
        f"{one.attack} changed what {writer} was told of the keys of {owner} ({one.action})"
        for one in record.of(Intervened)
        if one.action in _CHANGES and (strip_resource(one.sender), strip_resource(one.receiver)) == (owner, writer)
        if one.name == "iq" and one.at <= until
    )
    return ", ".join(dict.fromkeys(acted))


def _senders_stream(record: RunRecord, course: Course) -> Iterator[str]:
    sent = course.sent
    if course.at_a:
        return
    for event in _closed(record, course, course.a, "c2s"):
        if event.peer == sent.sender:
            what = _client_stream(event, "its sender's stream")
            yield f"{what} {course.later(event.at)}"
    for ended in record.of(Disconnected):
        if ended.stream == sent.stream and course.during(ended.at):
            yield f"its sender's stream ended {course.later(ended.at)}" + (f": {ended.reason}" if ended.reason else "")


def _client_stream(event: ServerStreamClosed, name: str) -> str:
    if event.by == "server":
        return f"{event.server} closed {name}{_why(event)}"
    who = "its client closed it" if event.by == "peer" else "it ended"
    return f"{name} to {event.server}: {who}{_why(event)}"


def _between(record: RunRecord, course: Course) -> Iterator[tuple[ServerStreamClosed, str]]:
    """Streams between the two servers that ended, each with the name of the other server."""
    if course.at_b or course.a == course.b:
        return
    for server, other in ((course.a, course.b), (course.b, course.a)):
        for event in _closed(record, course, server, "s2s"):
            peer = record.find_server(event.peer)
            if peer is not None and peer.name == other:
                yield event, other


def _stream_errors(record: RunRecord, course: Course) -> Iterator[str]:
    for event, other in _between(record, course):
        if event.condition:
            closing, closed = (event.server, other) if event.by == "server" else (other, event.server)
            yield f"{closing} closed the stream with {closed}{_why(event)} {course.later(event.at)}"


def _answers(record: RunRecord, course: Course) -> Iterator[str]:
    """The last answer of the name server about the receiver's host, where it is none that leads anywhere."""
    if course.at_b or course.a == course.b:
        return
    name = SRV + get_domain(course.sent.receiver).lower()
    about = [event for event in record.dns_answers.get(course.a, ()) if event.name == name and course.during(event.at)]
    if about and not (about[-1].rcode == "NOERROR" and about[-1].records):
        answer = about[-1].rcode if about[-1].rcode != "NOERROR" else "no record"
        yield f"the name server answered {course.a}'s question for {name} ({about[-1].type}) with {answer}"


def _broken_streams(record: RunRecord, course: Course) -> Iterator[str]:
    for event, other in _between(record, course):
        if not event.condition and event.text:
            way = f"to {other}" if event.direction == "out" else f"from {other}"
            what = "ended" if event.authentication else "could not be opened"
            yield f"the stream of {event.server} {way} {what}{_why(event)}, {course.later(event.at)}"


def _receivers_stream(record: RunRecord, course: Course) -> Iterator[str]:
    if not course.at_b:
        return
    for event in _closed(record, course, course.b, "c2s"):
        if event.peer in course.sent.expected and (event.condition or event.text):
            what = _client_stream(event, f"the stream of {event.peer}")
            yield f"{what} {course.later(event.at)}"


def _bounces(record: RunRecord, course: Course) -> Iterator[str]:
    """Bounces of other messages on the same route, where it did not bounce itself."""
    sent = course.sent
    if record.bounces.get(sent):
        return
    for other, bounces in record.bounces.items():
        if other is None or record.path(other) != (course.a, course.b):
            continue
        for one in bounces:
            if course.during(one.at):
                yield f"{one.by} bounced another message on this route with {one.condition}{_text_of(one)}"


def _text_of(bounce: Bounced) -> str:
    return f" ({shorten(bounce.text, LONGEST_VALUE)})" if bounce.text else ""


def _logs(record: RunRecord, course: Course) -> Iterator[str]:
    sent = course.sent
    servers = dict.fromkeys((course.a, course.b))
    lines = [one for name in servers for one in record.logged.get(name, ()) if course.during(one.at)]
    ends = {course.a: get_domain(sent.receiver), course.b: get_domain(sent.sender)}
    naming = [
        one for one in lines if sent.message in one.text or (course.a != course.b and ends[one.server] in one.text)
    ]
    for one in (*naming, *(one for one in lines if one.level == "error")):
        yield f"{one.server} logged: {shorten(one.text, LONGEST_VALUE)}"


def _servers_down(record: RunRecord, course: Course) -> Iterator[str]:
    """Servers that did not run, of those that the message had not reached."""
    for name, reached in ((course.a, course.at_a), (course.b, course.at_b)):
        if not reached and record.outages.was_down(name, course.sent.at, course.until):
            yield f"{name} was down"


_CONSULTED: tuple[Callable[[RunRecord, Course], Iterator[str]], ...] = (
    _attacks, _policies, _senders_stream, _servers_down, _stream_errors, _answers, _broken_streams, _receivers_stream,
    _bounces, _logs,
)  # fmt: skip


def _faults(record: RunRecord, course: Course) -> str:
    """The faults that acted between the two servers while the message was on its way, as the end of a sentence.

    It was on its way no longer than until another stanza passed on the same route.
    """
    until = min(record.next_passage(course.a, course.b, course.sent.at), course.until)
    names = record.outages.faults(course.a, course.b, course.sent.at, until)
    if not names:
        return ""
    return (
        f", while the fault{'s' * (len(names) > 1)} {' and '.join(names)} {'were' if len(names) > 1 else 'was'} active"
    )
