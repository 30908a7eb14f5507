"""Reachability: who reaches whom equals the graph, and a missing link refuses as `unlinked` promises.

For every ordered pair of servers that messages were sent between:

- linked, or one and the same: a message or a marker arrives, and none is refused, but for refusals while a server or
  the link was down, which are counted separately;
- not linked: nothing is delivered, and each message bounces with a condition from the table of its sender's software
  (lab/servers: `refusal`), within that table's deadline.

And whatever was sent: no stanza enters a server over server-to-server from one that it has no link with. XMPP servers
do not relay (RFC 6120 section 10.4), so the graph says all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from lab.checks.trace import quote, trace
from lab.checks.verdict import Finding, Value, Verdict, build_verdict, pluralize
from lab.history.events import Bounced, Sent, ServerSaw
from lab.metrics.jids import strip_resource
from lab.metrics.record import RunRecord
from lab.servers import get_software

NAME = "reachability"

# What a busy machine may add to the table's deadline: it says how servers behave, not how fast this machine is.
GRACE = 10.0

# Conditions by which a server says that it did not get through (RFC 6120 section 8.3.3); others, such as
# service-unavailable, are the receiver's own answer and prove that it was reached.
NOT_REACHED = frozenset(
    {"remote-server-not-found", "remote-server-timeout", "not-allowed", "forbidden", "not-authorized"}
)

Pair = tuple[str, str]
Messages = list[tuple[int, Sent]]


def check(record: RunRecord) -> Verdict:
    """Judge every ordered pair of servers that was used."""
    pairs = _pairs(record)
    findings = list(_forbidden_stanzas(record))
    for (a, b), messages in pairs.items():
        if record.linked(a, b):
            findings += _linked(record, a, b, messages)
        else:
            findings += _unlinked(record, a, b, messages)
    excused = sum(len(_excused(record, *pair, messages)) for pair, messages in pairs.items() if record.linked(*pair))
    apart = sum(1 for a, b in pairs if not record.linked(a, b))
    used = pluralize(len(pairs), "ordered pair")
    good = f"{used} of servers used: {len(pairs) - apart} delivered, {apart} refused as promised."
    if excused:
        good += f" {pluralize(excused, 'message')} bounced because of an outage."
    return build_verdict(NAME, len(pairs), findings, good, "No pair of servers was used.")


def _pairs(record: RunRecord) -> dict[Pair, Messages]:
    pairs: dict[Pair, Messages] = defaultdict(list)
    for index, sent in record.messages:
        a, b = record.find_server(sent.sender), record.find_server(sent.receiver)
        # A forged one and one that is blocked should arrive nowhere.
        if a and b and not sent.claimed and not record.block_lists.stops(sent, index):
            pairs[a.name, b.name].append((index, sent))
    return pairs


def _linked(record: RunRecord, a: str, b: str, messages: Messages) -> Iterator[Finding]:
    refused = _refused(record, messages)
    excused = _excused(record, a, b, messages)
    for sent, bounce in refused:
        if sent in excused:
            continue
        outage = record.outages.between(a, b, sent.at, bounce.at)
        text = f"{_about(sent, a, b)} was bounced with {bounce.condition} from {bounce.by}, though the two are linked."
        if outage is None:
            yield _finding(record, Value.FAILED, sent, (a, b), text, _why_refused(record, sent, bounce, a, b))
        else:
            yield _finding(record, Value.UNKNOWN, sent, (a, b), text, outage.cause)
    if len(refused) == len(excused) and not any(_reached(record, index, sent, b) for index, sent in messages):
        sent = messages[0][1]
        relation = "on one server" if a == b else "linked"
        why = "there was an outage meanwhile" if refused else "nothing arrived and no marker did"
        text = f"Whether {a} reaches {b} ({relation}) is not known: {why}."
        yield _finding(record, Value.UNKNOWN, sent, (a, b), text, "" if a == b else trace(record, sent).cause)


def _refused(record: RunRecord, messages: Messages) -> list[tuple[Sent, Bounced]]:
    """Messages of which a server said that it did not get through."""
    return [
        (sent, bounce)
        for _, sent in messages
        for bounce in record.bounces.get(sent, ())[:1]
        if bounce.condition in NOT_REACHED and not record.arrivals(sent)
    ]


def _excused(record: RunRecord, a: str, b: str, messages: Messages) -> frozenset[Sent]:
    """Those of them that bounced while a server or the link was down, between sending and bounce."""
    return frozenset(
        sent
        for sent, bounce in _refused(record, messages)
        if (outage := record.outages.between(a, b, sent.at, bounce.at)) and outage.known
    )


def _reached(record: RunRecord, index: int, sent: Sent, b: str) -> bool:
    """Whether anything proves that the route from sender to b works: a delivery, a marker, an answer, b's own feed."""
    if record.arrivals(sent) or (sent, b, "in", "s2s") in record.hops:
        return True
    if any(one.condition not in NOT_REACHED for one in record.bounces.get(sent, ())):
        return True
    routes = (record.route(index, sent, device) for device in record.addressees(index, sent))
    return any(route is not None and route.arrived for route in routes)


def _why_refused(record: RunRecord, sent: Sent, bounce: Bounced, a: str, b: str) -> str:
    if shown := trace(record, sent).evidence:
        return shown
    if bounce.condition in ("not-allowed", "forbidden", "not-authorized"):
        return f"the policy of {a} or {b} forbids what the topology allows"
    return f"{a} did not get a stream to {b}: look at the names, certificates and log of both"


def _unlinked(record: RunRecord, a: str, b: str, messages: Messages) -> Iterator[Finding]:
    server, down = record.topology.server(a), record.topology.link(a, b) is not None
    known = get_software(server.software)
    refusal = known.refused_stream(server.version) if down else known.refusal(server.version, record.topology.unlinked)
    promise = "their link must not come up" if down else "there is no link"
    end = max(event.at for event in record.events)
    for _, sent in messages:
        servers = record.path(sent)
        about = _about(sent, *servers)
        got = record.arrivals(sent)
        bounce = next(iter(record.bounces.get(sent, ())), None)
        if got:
            text = f"{about} reached {got[0].device}, though {promise}."
            yield _finding(record, Value.FAILED, sent, servers, text, "the two servers federate nevertheless")
        elif bounce is None:
            waited = end - sent.at
            late = waited > refusal.within + GRACE
            text = (
                f"{about} was neither delivered nor refused within {waited:.1f} s; {refusal.within:g} s were promised."
            )
            yield _finding(
                record, Value.FAILED if late else Value.UNKNOWN, sent, servers, text, trace(record, sent).cause
            )
        elif bounce.condition not in refusal.conditions:
            wanted = " or ".join(refusal.conditions)
            text = f"{about} was refused with {bounce.condition} by {bounce.by}; promised is {wanted}."
            yield _finding(
                record, Value.FAILED, sent, servers, text, "another obstacle than the one the topology promises"
            )
        elif bounce.at - sent.at > refusal.within + GRACE:
            text = f"{about} was refused after {bounce.at - sent.at:.1f} s; {refusal.within:g} s were promised."
            yield _finding(
                record, Value.FAILED, sent, servers, text, "the obstacle makes the sender wait longer than it should"
            )


def _forbidden_stanzas(record: RunRecord) -> Iterator[Finding]:
    """Stanzas that a server received from one it has no link with; one finding for each pair."""
    seen: set[Pair] = set()
    for event in record.of(ServerSaw):
        if (event.stream, event.direction) != ("s2s", "in"):
            continue
        source = record.find_server(event.peer or event.sender)
        if source is None or record.linked(source.name, event.server) or (source.name, event.server) in seen:
            continue
        seen.add((source.name, event.server))
        yield Finding(
            Value.FAILED,
            f"{event.server} received a {event.name} {event.id or ''} from {event.sender} of {source.name}, though "
            + (
                "their link must not come up."
                if record.topology.link(source.name, event.server)
                else "there is no link between the two."
            ),
            event.id if event.name == "message" else None,
            (source.name, event.server),
            f"the policy of {event.server} accepts {source.name}",
            f"{event.server} (in, s2s)",
            quote([event]),
        )


def _about(sent: Sent, a: str, b: str) -> str:
    return f"Message {sent.message} from {strip_resource(sent.sender)} on {a} to {strip_resource(sent.receiver)} on {b}"


def _finding(record: RunRecord, value: Value, sent: Sent, servers: tuple[str, ...], text: str, cause: str) -> Finding:
    stanzas = quote(record.seen.get(sent, []))
    return Finding(
        value, text, sent.message, tuple(dict.fromkeys(servers)), cause, trace(record, sent).last_hop, stanzas
    )
