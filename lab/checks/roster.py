"""Rosters: at the end both servers hold the same, complete state of every subscription (RFC 6121 section 3).

- if the one sees the other by their own roster, the other's has them as subscribed, and the other way round;
- a request that is not answered has been received by the other, who has not answered it;
- what was granted holds in both rosters, what was refused, withdrawn or given up in neither.

Judged are people of the run whose rosters were both read after they last spoke of it; settle() reads them at the end.
A subscription is judged as one of the server of who asks for it, which has to repeat the request (section 3.1.2).
"""

from __future__ import annotations

from collections.abc import Iterator

from lab.checks.verdict import Finding, Value, Verdict, build_verdict, pluralize
from lab.metrics.contacts import ANSWERS, Contact, find_contacts, get_last_word, get_wish, was_told
from lab.metrics.record import RunRecord

NAME = "roster"


def check(record: RunRecord) -> Verdict:
    """Judge every subscription between people of the run."""
    contacts = list(find_contacts(record))
    findings = [finding for one in contacts for finding in _disagreement(record, one)]
    good = f"{pluralize(len(contacts), 'subscription')}: both rosters agree."
    nothing = "No subscription was spoken of whose two rosters were read afterwards."
    return build_verdict(NAME, len(contacts), findings, good, nothing, [_asker(record, one) for one in contacts])


def _disagreement(record: RunRecord, one: Contact) -> Iterator[Finding]:
    """At most one finding about a subscription."""
    wish, said = get_wish(record, one.person, one.other), get_last_word(record, one.person, one.other)
    if one.sees != one.seen:
        text = f"by the roster of {one.person} they {'see' if one.sees else 'do not see'} {one.other}, whose roster "
        yield _finding(record, one, text + f"says that they {'do' if one.seen else 'do not'}")
    elif wish is not None and one.sees != wish:
        what = "granted, and neither roster has it" if wish else "ended, and both rosters still have it"
        yield _finding(record, one, f"the subscription of {one.person} to {one.other} was {what}")
    elif one.asks and said.type in ANSWERS:
        yield _finding(record, one, f"{one.other} has answered {one.person}, whose roster still has the request")
    elif one.asks and not was_told(record, one.other, one.person, "subscribe"):
        yield _finding(record, one, f"by their roster {one.person} asks for the presence of {one.other}, who has no "
                                    "such request")  # fmt: skip
    elif said.type == "subscribe" and not one.asks and not one.sees:
        yield _finding(record, one, f"{one.person} asked for the presence of {one.other}, and their roster has no "
                                    "such request")  # fmt: skip


def _asker(record: RunRecord, one: Contact) -> str:
    """Name of the server of who asks."""
    server = record.find_server(one.person)
    return server.name if server else ""


def _ends(record: RunRecord, one: Contact) -> tuple[str, ...]:
    """Names of the servers of who spoke last and of the other; one if they are the same."""
    said = get_last_word(record, one.person, one.other)
    servers = (record.find_server(said.person), record.find_server(said.contact))
    return tuple(dict.fromkeys(server.name for server in servers if server))


def _finding(record: RunRecord, one: Contact, what: str) -> Finding:
    said, servers = get_last_word(record, one.person, one.other), _ends(record, one)
    cause = f"{servers[0]} did not repeat the presence of type {said.type!r}, which {servers[-1]} has not got"
    if faults := record.outages.faults(servers[0], servers[-1], said.at, said.at):
        cause += f", for it was sent during {' and '.join(faults)}"
    text = f"Rosters disagree ({' - '.join(servers)}): {what}."
    return Finding(Value.FAILED, text, None, servers, cause, server=_asker(record, one))
