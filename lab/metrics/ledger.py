"""The ledger: every message of the scenario by link and direction, what became of it, and how late.

A message with several outcomes counts in each. What neither arrived nor bounced is `lost` where that is certain, else
`unknown`. Delays are those of the first arrival at each device that was online when the message was sent, on one clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from lab.history.events import Sent
from lab.metrics.hops import describe_last_hop
from lab.metrics.jids import strip_resource
from lab.metrics.losses import ONCE, ORIGINALS, find_missing
from lab.metrics.record import RunRecord
from lab.topology.allowance import route_allowance

#: Seconds after which a message is late, beside the allowance of its link: a fresh stream between two servers takes one
#: or two, on a busy machine several times that.
LATE = 5.0


@dataclass(frozen=True)
class LostMessage:
    """A message that is lost for one device."""

    message: str  # id
    sender: str  # bare JID
    device: str  # full JID of the device that it did not reach
    faults: tuple[str, ...]  # names of attacks that acted on it, and of faults that acted between the servers
    last_hop: str  # the last that saw it, in words; "" if no feed shows it


@dataclass(frozen=True)
class LedgerEntry:
    """Messages from one server to another."""

    sender: str  # name of the server
    receiver: str
    linked: bool
    sent: int
    delivered: int
    bounced: int
    both: int  # delivered and bounced
    duplicate: int  # delivered more than once to one device
    lost: int
    late: int  # delivered after LATE and the allowance of the link
    unknown: int  # neither delivered nor bounced, and it is not known whether it is lost
    delay_median: float | None  # seconds; None if nothing arrived live
    delay_p95: float | None
    delay_max: float | None
    losses: tuple[LostMessage, ...]


def ledger(record: RunRecord) -> list[LedgerEntry]:
    """An entry for each ordered pair of servers, in the order of first use."""
    found: dict[tuple[str, str], list[Sent]] = {}
    for _, sent in record.messages:
        a, b = record.find_server(sent.sender), record.find_server(sent.receiver)
        if a is not None and b is not None:
            found.setdefault((a.name, b.name), []).append(sent)
    losses = _losses(record)
    return [_entry(record, a, b, messages, losses) for (a, b), messages in found.items()]


def _losses(record: RunRecord) -> dict[Sent, list[LostMessage]]:
    losses: dict[Sent, list[LostMessage]] = {}
    for one in find_missing(record):
        if one.lost:
            sent, servers = one.sent, record.path(one.sent)
            attacks = dict.fromkeys(act.attack for act in record.interventions.get(sent, ()))
            faults = (*attacks, *record.outages.faults(servers[0], servers[-1], sent.at, record.last_at))
            lost = LostMessage(
                sent.message, strip_resource(sent.sender), one.device, faults, describe_last_hop(record, sent)
            )
            losses.setdefault(sent, []).append(lost)
    return losses


def _entry(
    record: RunRecord, a: str, b: str, messages: list[Sent], losses: dict[Sent, list[LostMessage]]
) -> LedgerEntry:
    delivered = [one for one in messages if record.arrivals(one)]
    bounced = [one for one in messages if record.bounces.get(one)]
    lost = [one for one in messages if one in losses]
    delays = {one: _delays(record, one) for one in delivered}
    limit = LATE + route_allowance(record.topology, a, b)
    every = sorted(delay for some in delays.values() for delay in some)
    return LedgerEntry(
        sender=a,
        receiver=b,
        linked=record.linked(a, b),
        sent=len(messages),
        delivered=len(delivered),
        bounced=len(bounced),
        both=len(set(delivered) & set(bounced)),
        duplicate=sum(_duplicate(record, one) for one in messages),
        lost=len(lost),
        late=sum(max(some, default=0.0) > limit for some in delays.values()),
        unknown=len(set(messages) - set(delivered) - set(bounced) - set(lost)),
        delay_median=_quantile(every, 0.5),
        delay_p95=_quantile(every, 0.95),
        delay_max=every[-1] if every else None,
        losses=tuple(loss for one in lost for loss in losses[one]),
    )


def _delays(record: RunRecord, sent: Sent) -> list[float]:
    """Seconds until each device had it that was online when it was sent."""
    first: dict[str, float] = {}
    for one in record.deliveries.get(sent, ()):
        if one.device in sent.expected and one.via == "live":
            first.setdefault(one.device, max(0.0, one.at - sent.at))
    return list(first.values())


def _duplicate(record: RunRecord, sent: Sent) -> bool:
    """Whether one device was handed it more than once; what somebody writes to themselves has a carbon beside."""
    once = ORIGINALS if strip_resource(sent.sender) == strip_resource(sent.receiver) else ONCE
    devices = [one.device for one in record.deliveries.get(sent, ()) if one.via in once]
    return len(devices) > len(set(devices))


def _quantile(ordered: list[float], share: float) -> float | None:
    """The smallest value that so large a share of the values does not exceed (nearest rank)."""
    return ordered[ceil(share * len(ordered)) - 1] if ordered else None
