"""What the lab's DNS answers, as a pure function: one view per asking server.

For the host names of server b (its domain, rooms, ...) the answer for a server a depends on their relation:

    linked        SRV to the relay of that direction; a direct link, and a server's own names: SRV to the server
    not-allowed   SRV straight to b: policy on both ends refuses
    nxdomain      neither SRV nor address exist (RFC 6120 section 3.2.2 would fall back to an address)
    refused       SRV to a port where nothing listens
    unreachable   SRV to a port that never answers

Servers get the address of a name only where SRV leads to it as well, so that nothing goes around a relay.

SRV targets between servers are IP literals (RFC 2782 wants names): one question less for each stream, whose answer, an
address, would be given here as well. Those of clients are names, since programs of others follow the RFC: Go refuses an
address as invalid. `_xmpps-server` never exists; all that exists but is asked for with another type is empty.
Records live for no time at all: the answer may change with the lab. Whoever is no server of the plan sees names and
client records only.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from typing import NamedTuple

from lab.declarations.domains import a_labels
from lab.declarations.effects import NameAnswer
from lab.plan.build import find_s2s_endpoint
from lab.plan.layout import REFUSED_PORT, UNREACHABLE_PORT
from lab.plan.model import Plan, ServerPlan
from lab.topology.spec import Unlinked

TTL = 0  # seconds

_SERVER = "_xmpp-server._tcp."
_CLIENT = "_xmpp-client._tcp."
_DIRECT = "_xmpps-server._tcp."


class Record(NamedTuple):
    """One resource record of the name that was asked for: `value` in the form of zone files (RFC 1035 section 5)."""

    rtype: str  # "A", "AAAA", "SRV"
    value: str


@dataclass(frozen=True)
class Answer:
    """`rcode` is "NOERROR" or "NXDOMAIN"; of an answer that a fault gives also "SERVFAIL", or "DROP" for none."""

    rcode: str
    records: tuple[Record, ...] = ()
    delay: float = 0.0  # seconds until it is sent


_EMPTY = Answer("NOERROR")
_NO_SUCH_NAME = Answer("NXDOMAIN")


class Zones:
    """The answers for one plan. Making it costs a pass over all servers and links, an answer a few look-ups."""

    def __init__(self, plan: Plan) -> None:
        self._unlinked = plan.topology.unlinked
        self._services = plan.services
        self._owners = {a_labels(host): server for server in plan.servers for host in server.hosts}
        self._relays = {(relay.source, relay.target): relay.port for relay in plan.relays}
        self._links = {link.pair for link in plan.topology.links}
        self._askers = {server.spec.name for server in plan.servers}
        self._by_address = {server.address: server.spec.name for server in plan.servers}
        self._by_port = {server.dns[1]: server.spec.name for server in plan.servers}
        self._ports_tell = len(self._by_port) == len(plan.servers) and plan.facts.runtime != "containers"

    def asker(self, address: str, port: int) -> str:
        """The server that asks: by the port it asked where each has its own, else by its address; "" if none."""
        if self._ports_tell:
            return self._by_port.get(port, "")
        return self._by_address.get(address, "")

    def answer(self, asker: str, name: str, rtype: str) -> Answer:
        """The answer to server `asker` about `name`; `rtype` is "A", "AAAA", "SRV" or any other."""
        name = name.rstrip(".").lower()
        literal = _literal(name)
        if literal is not None:
            return _found(rtype, literal)
        for prefix, records in ((_SERVER, self._server_records), (_CLIENT, self._client_records)):
            if name.startswith(prefix):
                owner = self._owners.get(name.removeprefix(prefix))
                record = records(asker, owner) if owner else None
                return _found(rtype, record) if record else _NO_SUCH_NAME
        owner = self._owners.get(name.removeprefix("_tcp."))
        if owner is None or (asker and self._hidden(asker, owner)):
            return _NO_SUCH_NAME
        if name.startswith("_tcp.") or self._is_around(asker, owner):
            return _EMPTY
        return _found(rtype, _address(owner.address))

    def faulty_answer(self, fault: NameAnswer, name: str, rtype: str) -> Answer | None:
        """The answer under a fault to the server that asks; None where the fault changes nothing of it."""
        name = name.rstrip(".").lower()
        host = name.removeprefix(_SERVER).removeprefix(_DIRECT).removeprefix("_tcp.")
        owner = self._owners.get(host)
        if owner is None or owner.spec.name != fault.target:
            return None
        usual = self.answer(fault.asker, name, rtype)
        match fault.how:
            case "nxdomain":
                return _NO_SUCH_NAME
            case "servfail":
                return Answer("SERVFAIL")
            case "no-answer":
                return Answer("DROP")
            case "slow":
                return replace(usual, delay=fault.delay)
        if not usual.records or not name.startswith(_SERVER) or rtype != "SRV":
            return None
        wrong = _srv(self._services, REFUSED_PORT)
        if fault.how == "wrong-srv":
            return replace(usual, records=(wrong,))
        later = tuple(Record("SRV", f"10 {record.value.partition(' ')[2]}") for record in usual.records)
        return replace(usual, records=(wrong, *later))

    def _hidden(self, asker: str, owner: ServerPlan) -> bool:
        return self._unlinked is Unlinked.NXDOMAIN and not self._linked(asker, owner)

    def _linked(self, asker: str, owner: ServerPlan) -> bool:
        """Whether the two are the same server or have a link."""
        name = owner.spec.name
        return asker == name or frozenset((asker, name)) in self._links

    def _is_around(self, asker: str, owner: ServerPlan) -> bool:
        """Whether the address would lead a server around what its SRV record leads to, such as a relay.

        A server falls back to it where it got no answer about the SRV record (RFC 6120 section 3.2.2).
        """
        way = self._server_records(asker, owner)
        return way is not None and not way.value.endswith(f" {owner.address}.")

    def _client_records(self, asker: str, owner: ServerPlan) -> Record | None:
        if owner.address and not (asker and self._hidden(asker, owner)):
            return _srv(a_labels(owner.spec.domain), owner.spec.manifest.ports.client)
        return None

    def _server_records(self, asker: str, owner: ServerPlan) -> Record | None:
        if asker not in self._askers:
            return None
        if self._linked(asker, owner):
            port = self._relays.get((asker, owner.spec.name))
            return _srv(self._services, port) if port else _srv(*find_s2s_endpoint(owner.spec, owner.address))
        match self._unlinked:
            case Unlinked.NOT_ALLOWED:
                return _srv(*find_s2s_endpoint(owner.spec, owner.address))
            case Unlinked.NXDOMAIN:
                return None
            case Unlinked.REFUSED:
                return _srv(self._services, REFUSED_PORT)
            case Unlinked.UNREACHABLE:
                return _srv(self._services, UNREACHABLE_PORT)


def look_up(plan: Plan, asker: str, name: str, rtype: str) -> Answer:
    """One answer; for many of the same plan make `Zones` once."""
    return Zones(plan).answer(asker, name, rtype)


def _srv(target: str, port: int) -> Record:
    return Record("SRV", f"0 0 {port} {target}.")


def _address(address: str) -> Record:
    return Record("AAAA" if ":" in address else "A", address)


def _literal(name: str) -> Record | None:
    try:
        return _address(str(ipaddress.ip_address(name)))
    except ValueError:
        return None


def _found(rtype: str, record: Record) -> Answer:
    """The record if it is of the type that was asked for; the name exists in any case."""
    return Answer("NOERROR", (record,)) if record.rtype == rtype else _EMPTY
