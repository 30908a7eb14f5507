"""Durability: no message that a server has taken is lost when its sender's or its receiver's server goes down.

A server has taken a message if its feed shows that it received it; an acknowledgement (XEP-0198) says no more. Judged
is each message that was taken before one of the two servers went down, and had neither arrived nor bounced by then. It
may do so later; it is lost where that is certain, as `delivery` has it.
"""

from __future__ import annotations

from lab.checks.trace import trace
from lab.checks.verdict import Finding, Value, Verdict, build_verdict, pluralize
from lab.history.events import Sent, ServerEnded
from lab.metrics.jids import strip_resource
from lab.metrics.losses import Missing, find_missing
from lab.metrics.record import RunRecord

NAME = "durability"


def check(record: RunRecord) -> Verdict:
    """Judge every message that was under way or stored when one of its servers went down."""
    exposed = find_exposed(record)
    findings = [_finding(record, one, exposed[one.sent]) for one in find_missing(record) if one.sent in exposed]
    good = f"{pluralize(len(exposed), 'message')} taken before a server went down: none is lost."
    nothing = "No server went down while a message was stored or under way."
    return build_verdict(NAME, len(exposed), findings, good, nothing, [record.path(sent)[-1] for sent in exposed])


def find_exposed(record: RunRecord) -> dict[Sent, str]:
    """Messages that a server had taken when it or another on their path went down, with the name of the latter."""
    found: dict[Sent, str] = {}
    ends = list(record.of(ServerEnded))
    for _, sent in record.messages if ends else ():
        seen = record.seen.get(sent, ())
        taken = min((one.at for one in seen if one.direction == "in" and one.type != "error"), default=None)
        if taken is None or sent.claimed:
            continue
        results = (one.at for one in (*record.arrivals(sent), *record.bounces.get(sent, ())))
        until = min(results, default=record.last_at)
        for one in ends:
            if one.server in record.path(sent) and taken <= one.at <= until:
                found.setdefault(sent, one.server)
    return found


def _finding(record: RunRecord, one: Missing, down: str) -> Finding:
    sent, far = one.sent, trace(record, one.sent)
    who = f"{strip_resource(sent.sender)} to {one.device or strip_resource(sent.receiver)}"
    what = "is lost" if one.lost else f"is missing, and whether it is lost is not known ({one.why})"
    text = (
        f"Message {sent.message} from {who} ({' - '.join(record.path(sent))}) was taken before {down} went down and "
        f"{what}; the last that saw it: {far.last_hop}."
    )
    value = Value.FAILED if one.lost else Value.UNKNOWN
    return Finding(value, text, sent.message, record.path(sent), far.cause, far.last_hop, far.stanzas)
