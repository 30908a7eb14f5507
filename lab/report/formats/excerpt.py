"""The time around a finding: faults, servers that went down, streams that ended, logs, the message."""

from __future__ import annotations

from collections.abc import Iterator

from lab.checks import Finding
from lab.checks.verdict import shorten
from lab.history.events import (
    Bounced,
    Delivered,
    Event,
    FaultApplied,
    FaultHealed,
    Sent,
    ServerEnded,
    ServerLogged,
    ServerSaw,
    ServerStarted,
    ServerStreamClosed,
)
from lab.metrics.record import RunRecord

# Seconds before and after a message was sent: connecting again and giving up takes servers up to half a minute.
BEFORE, AFTER = 5.0, 30.0
LONGEST_LINE = 160  # characters


def list_excerpt(record: RunRecord, finding: Finding) -> list[tuple[float, str]]:
    """What happened around a finding, with seconds since its message was sent; or, without one, since the first fault.

    Empty where neither is known.
    """
    sent = record.with_id(finding.message)
    first_fault = next((one.began for one in record.of(FaultApplied)), None)
    origin = sent.at if sent is not None else first_fault
    if origin is None:
        return []
    events = sorted(
        (one for one in record.events if origin - BEFORE <= one.at <= origin + AFTER), key=lambda one: one.at
    )
    lines = ((one.at - origin, text) for one in events for text in _describe(record, one, sent, finding.servers))
    return [(seconds, shorten(text, LONGEST_LINE)) for seconds, text in lines]


def _describe(record: RunRecord, event: Event, sent: Sent | None, servers: tuple[str, ...]) -> Iterator[str]:
    """One line about an event that has to do with the message or these servers."""
    match event:
        case FaultApplied():
            yield f"fault {event.fault} {'applied' if not event.error else 'could not be applied: ' + event.error}"
        case FaultHealed():
            yield f"fault {event.fault} {'healed' if not event.error else 'could not be healed: ' + event.error}"
        case ServerEnded():
            yield f"{event.server} went down"
        case ServerStarted():
            yield f"{event.server} was started"
        case ServerStreamClosed(stream="s2s") if event.server in servers:
            why = event.condition or event.text
            yield f"{event.server}: its stream {'to' if event.direction == 'out' else 'from'} {event.peer} ended: {why}"
        case ServerLogged() if event.server in servers:
            yield f"{event.server} logged ({event.level}): {event.text}"
    if sent is not None:
        yield from _describe_course(record, event, sent)


def _describe_course(record: RunRecord, event: Event, sent: Sent) -> Iterator[str]:
    """One line about an event of the message itself."""
    match event:
        case Sent() if event == sent:
            yield f"{sent.message} sent by {sent.sender}"
        case ServerSaw() if event in record.seen.get(sent, ()):
            yield f"{sent.message}: {event.server} {event.direction} {event.stream}"
        case Delivered() if event in record.deliveries.get(sent, ()):
            yield f"{sent.message} delivered to {event.device} ({event.via})"
        case Bounced() if event in record.bounces.get(sent, ()):
            yield f"{sent.message} bounced by {event.by} with {event.condition}"
