"""Secrecy: no server can read what was meant to be secret.

A scenario's secrets are canaries (`federation.secret()`), in messages and in uploaded files, and the keys of encrypted
files. A canary must stand readable nowhere: not in what a server saw (its feed), nor in its store, archive, uploaded
files or log; raw, in base64 or in hex (lab/history/canaries.py). A message that was
sent encrypted must not pass a server with a readable body.

Nor may it stand readable on the wire between servers, where relays carried it.

Nothing found proves something only where something would have been found: unknown is a server on the route of a canary
that does not record whole stanzas, was not searched after the canary was sent, or was searched in vain for the control
text that must stand there. On a link without TLS that is the text as well; on one with TLS it is that bytes passed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from lab.checks.cause import describe_attacks
from lab.checks.trace import quote
from lab.checks.verdict import Finding, Value, Verdict, build_verdict
from lab.declarations.encryptions import is_end_to_end
from lab.history.canaries import find, find_all
from lab.history.events import CanaryFound, FileUploaded, Searched, Sent, ServerSaw
from lab.history.key_events import LinkSearched
from lab.metrics.record import RunRecord
from lab.servers import get_software
from lab.topology.spec import Feed, Server, Tls

NAME = "secrecy"
LINK = "link"  # the place of what passed a link


def check(record: RunRecord) -> Verdict:
    """Judge every canary, and the bodies of encrypted messages."""
    secret: Secrets = {one: (index, file) for index, file in record.indexed(FileUploaded) for one in file.canaries}
    secret |= {sent.canary: (index, sent) for index, sent in record.messages if sent.canary}
    encrypted = [sent for _, sent in record.messages if is_end_to_end(sent.encryption)]
    findings = [*_found(record, secret), *_bodies(record, encrypted)]
    if secret:
        last = max(index for index, _ in secret.values())
        for name in _servers_on_route(record, secret):
            findings += _unknown(record, record.topology.server(name), last)
        findings += _unwatched(record, secret)
    good = (
        "1 canary sent, and no server can read it."
        if len(secret) == 1
        else (f"{len(secret)} canaries sent, and no server can read any of them.")
    )
    if not secret:
        # Encrypted messages alone show only that no body was readable where feeds record it.
        return build_verdict(NAME, 0, findings, good, "No canary was sent, so that no leak could be seen.")
    return build_verdict(NAME, len(secret), findings, good, "")


#: Each canary with the message or the file that carried it, and the place of its event.
Secrets = dict[str, tuple[int, Sent | FileUploaded]]


def _servers_on_route(record: RunRecord, secret: Secrets) -> tuple[str, ...]:
    hosts = [_route(record, file) for file in record.of(FileUploaded) if file.canaries]
    routes = [_route(record, carrier) for _, carrier in secret.values()]
    return tuple(dict.fromkeys(name for route in (*routes, *hosts) for name in route))


def _route(record: RunRecord, carrier: Sent | FileUploaded) -> tuple[str, ...]:
    """The servers that handle a message, those of a room's occupants included; or the one that stores a file."""
    if isinstance(carrier, Sent):
        others = (record.find_server(device) for device in carrier.expected) if carrier.room else ()
        return tuple(dict.fromkeys((*record.path(carrier), *(one.name for one in others if one is not None))))
    home = record.find_server(carrier.device)
    return () if home is None else (home.name,)


def _found(record: RunRecord, secret: Secrets) -> Iterator[Finding]:
    """One finding for each canary on each server: the place where it was seen first, and the others with it."""
    places: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    stanzas: dict[tuple[str, str], list[ServerSaw]] = {}
    for server, events in _by_server(record).items():
        # One search through all that a server saw; only what stands there is looked for stanza by stanza.
        hits = find_all(secret, b"\n".join(text for _, text in events))
        for canary in dict.fromkeys(hit.canary for hit in hits):
            for event, text in events:
                for encoding in find(canary, text):
                    stanzas.setdefault((server, canary), []).append(event)
                    places.setdefault((server, canary), []).append(("feed", encoding, f"a {event.name}"))
    for one in record.of(CanaryFound):
        if one.place == LINK:
            yield _leak_on_link(record, one, secret.get(one.canary))
            continue
        places.setdefault((one.server, one.canary), []).append((one.place, one.encoding, one.where))
    for (server, canary), where in places.items():
        yield _leak(record, server, canary, where, secret.get(canary), stanzas.get((server, canary), []))


def _leak_on_link(record: RunRecord, found: CanaryFound, known: tuple[int, Sent | FileUploaded] | None) -> Finding:
    carrier, ends = known[1] if known else None, tuple(found.where.split(" - "))
    name = f"of message {carrier.message}" if isinstance(carrier, Sent) else repr(found.canary)
    text = f"Whoever sees the link {found.where} can read the secret {name}: on the wire ({found.encoding})."
    cause = "the text was readable on the wire"
    if isinstance(carrier, Sent) and not is_end_to_end(carrier.encryption):
        cause = "neither the message nor the link was encrypted"
    return Finding(Value.FAILED, text, carrier.message if isinstance(carrier, Sent) else None, ends, cause)


def _unwatched(record: RunRecord, secret: Secrets) -> Iterator[Finding]:
    """Why nothing found on the wire proves nothing. A link without a relay is not searched: nothing is said of it."""
    crossed: list[tuple[str, str]] = []
    for _, sent in secret.values():
        if not isinstance(sent, Sent):
            continue
        path = record.path(sent)
        for one in record.arrivals(sent):
            home = record.find_server(one.device)
            crossed += [(path[0], path[-1]), (path[-1], home.name)] if path and home is not None else []
    for ends in dict.fromkeys((min(pair), max(pair)) for pair in crossed if len({*pair}) == 2):
        searched = [one for one in record.of(LinkSearched) if {one.source, one.target} == set(ends)]
        if not searched:
            continue
        in_clear = any(record.topology.server(name).tls is Tls.OFF for name in ends)
        why = ""
        if not all(one.complete for one in searched):
            why = "more passed than was searched"
        elif not any(one.bytes for one in searched):
            why = "nothing was seen to pass"
        elif in_clear and not any(one.control for one in searched):
            why = "it has no TLS, and the text that must stand there was not found either"
        if why:
            text = f"Whether the link {' - '.join(ends)} showed secrets is not known: {why}."
            yield Finding(Value.UNKNOWN, text, None, ends)


def _by_server(record: RunRecord) -> dict[str, list[tuple[ServerSaw, bytes]]]:
    found: dict[str, list[tuple[ServerSaw, bytes]]] = defaultdict(list)
    for event in record.of(ServerSaw):
        if event.stanza:
            found[event.server].append((event, event.stanza.encode()))
    return found


def _leak(
    record: RunRecord,
    server: str,
    canary: str,
    where: list[tuple[str, str, str]],
    known: tuple[int, Sent | FileUploaded] | None,
    seen: list[ServerSaw],
) -> Finding:
    carrier = known[1] if known else None
    listed = ", ".join(dict.fromkeys(f"{place} ({encoding}, {what})" for place, encoding, what in where))
    if isinstance(carrier, Sent):
        name = f"of message {carrier.message} ({' - '.join(record.path(carrier))})"
    else:
        name = f"of file {carrier.url}" if carrier else repr(canary)
    return Finding(
        Value.FAILED,
        f"Server {server} can read the secret {name}: {listed}.",
        carrier.message if isinstance(carrier, Sent) else None,
        _route(record, carrier) if carrier else (server,),
        _why_readable(record, carrier, seen, [what for place, _, what in where if place == "attack"]),
        "",
        quote(list(dict.fromkeys(seen))),
    )


def _why_readable(
    record: RunRecord, sent: Sent | FileUploaded | None, seen: list[ServerSaw], attacks: list[str]
) -> str:
    if sent is None:
        return "a secret that no message carried got out"
    if isinstance(sent, FileUploaded):
        return "its key got out" if sent.encrypted else "the file was uploaded without encryption"
    if acted := describe_attacks(record, sent):
        return acted
    if attacks:
        return f"{attacks[0]}: it was encrypted for keys of the attacker's"
    if not is_end_to_end(sent.encryption):
        return "the message was sent without end-to-end encryption"
    if any(event.encryption and event.id == sent.message for event in seen):
        return "the plain text was sent beside the ciphertext"
    return f"the text was readable although the message was sent with {sent.encryption}"


def _bodies(record: RunRecord, encrypted: list[Sent]) -> Iterator[Finding]:
    """Encrypted messages that a server saw with a readable body. What an attack left of one does not count."""
    for sent in encrypted:
        acts = record.interventions.get(sent, ())
        behind = {one.target for one in acts}
        if any(one.source == sent.sender for one in acts):  # between the sender and the own server
            behind |= set(record.path(sent))
        bodies = [
            event
            for event in record.seen.get(sent, ())
            if event.body and event.type != "error" and event.server not in behind
        ]
        if bodies:
            names = ", ".join(dict.fromkeys(event.server for event in bodies))
            servers = record.path(sent)
            about = f"Message {sent.message} ({' - '.join(servers)})"
            text = f"{about} was sent with {sent.encryption}; {names} saw a readable body."
            cause = "the device or a server put plain text in the ciphertext's place"
            yield Finding(Value.FAILED, text, sent.message, servers, cause, "", quote(bodies))


def _unknown(record: RunRecord, server: Server, after: int) -> Iterator[Finding]:
    """Why nothing found on this server proves nothing."""
    for why in _unsearched(record, server, after):
        text = f"Whether server {server.name} can read secrets is not known: {why}."
        yield Finding(Value.UNKNOWN, text, None, (server.name,))


def _unsearched(record: RunRecord, server: Server, after: int) -> Iterator[str]:
    places = tuple(get_software(server.software).list_places(server))
    if not server.manifest.instrumented or not places:
        yield f"the lab cannot read the files of {server.software} servers"
        return
    if server.feed is not Feed.FULL:
        yield f"its feed is '{server.feed}'; 'feed: full' records whole stanzas"
    searched = {
        one.place: one for index, one in record.indexed(Searched) if one.server == server.name and index > after
    }
    hosts = any(server.name in _route(record, file) for file in record.of(FileUploaded))
    for place in places:
        one = searched.get(place)
        if place == "uploads" and not hosts:
            continue  # nobody of the lab's has uploaded anything there
        if place == "feed" and server.feed is not Feed.FULL:
            continue
        if one is None:
            yield f"its {place} was not searched after the last secret was sent"
        elif one.control is False:
            yield f"its {place} was searched, and what must stand there was not found either"
        elif place == "feed" and not one.files:
            yield "it has written no feed"
