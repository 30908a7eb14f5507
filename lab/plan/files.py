"""A plan as text (JSON), and in what two plans differ, in sentences."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from lab.errors import UserError
from lab.input_files import decode_json, read_json
from lab.plan.model import Plan
from lab.topology.spec import Link, Server, Topology


def dump(plan: Plan) -> str:
    """The plan as JSON text with an end of line; the inverse of `load`."""
    return f"{_adapter().dump_json(plan, indent=1, by_alias=True).decode()}\n"


def read(path: Path) -> Plan:
    """The plan of a file. Raises UserError with file and line if it is damaged, FileNotFoundError without a file."""
    return _consistent(read_json(path, Plan, "a plan"), str(path))


def load(text: str, place: str = "plan") -> Plan:
    """The plan of such text. Raises UserError if it is none, or one of another version of the lab."""
    return _consistent(decode_json(text, Plan, place), place)


def _consistent(plan: Plan, place: str) -> Plan:
    """The plan, if its parts name only servers that it has. Raises UserError."""
    names = [server.name for server in plan.topology.servers]
    for server in plan.topology.servers:
        try:
            _ = server.manifest
        except UserError as error:
            raise UserError(f"{place}: server {server.name}: {error}") from None
    if not names or len(set(names)) < len(names) or [server.spec.name for server in plan.servers] != names:
        raise UserError(f"{place}: the servers of the topology and those of the plan are not the same: it is damaged")
    named = [*(name for link in plan.topology.links for name in (link.a, link.b))]
    named += [name for relay in plan.relays for name in (relay.source, relay.target)]
    named += [name for server in plan.servers for name in server.probes]
    if unknown := next((name for name in named if name not in names), None):
        raise UserError(f"{place}: {unknown!r} is named as a server, and there is none: the file is damaged")
    return plan


def differences(old: Plan, new: Plan) -> list[str]:
    """What the new plan asks for that the old one does not, one sentence each; where they run does not count.

    Two plans with the same servers, links and promises have none.
    """
    before, after = old.topology, new.topology
    return [*_of_servers(before, after), *_of_links(before, after), *_of_topology(before, after)]


def _of_servers(old: Topology, new: Topology) -> list[str]:
    was, now = {each.name: each for each in old.servers}, {each.name: each for each in new.servers}
    sentences = [f"server {name} is removed" for name in was if name not in now]
    sentences += [f"server {name} is new" for name in now if name not in was]
    for name in (name for name in was if name in now):
        sentences += _changes(f"server {name}", _facts(was[name]), _facts(now[name]))
    kept_before = [name for name in was if name in now]
    if kept_before != [name for name in now if name in was]:
        sentences.append("the servers are in another order")
    return sentences


def _facts(server: Server) -> dict[str, Any]:
    """The fields of a server by the names that people use; software and version are one."""
    facts = {each.name: getattr(server, each.name) for each in fields(server) if each.name not in ("name", "version")}
    if server.version:
        facts["software"] = f"{server.software}@{server.version}"
    return facts


def _of_links(old: Topology, new: Topology) -> list[str]:
    was, now = {each.pair: each for each in old.links}, {each.pair: each for each in new.links}
    sentences = [f"link {_name(link)} is removed" for pair, link in was.items() if pair not in now]
    sentences += [f"link {_name(link)} is new" for pair, link in now.items() if pair not in was]
    for pair, link in now.items():
        if pair in was:
            sentences += _changes(f"link {_name(link)}", _link_facts(was[pair], link.a), _link_facts(link, link.a))
    return sentences


def _link_facts(link: Link, first: str) -> dict[str, Any]:
    """What each direction is like, seen from server `first`, whichever way round the link was written."""
    there, back = (link.forward, link.backward) if link.a == first else (link.backward, link.forward)
    other = link.b if link.a == first else link.a
    return {
        "direct": link.direct,
        f"{first} to {other}": there.describe() or "neutral",
        f"{other} to {first}": back.describe() or "neutral",
    }


def _of_topology(old: Topology, new: Topology) -> list[str]:
    return _changes("the topology", {"unlinked": old.unlinked}, {"unlinked": new.unlinked})


def _changes(what: str, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [
        f"{what}: {fact} was {_text(old[fact])}, is {_text(value)}" for fact, value in new.items() if old[fact] != value
    ]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "nothing" if value is None or value == "" else str(value)


def _name(link: Link) -> str:
    return f"{link.a} - {link.b}"


def _adapter() -> Any:
    from pydantic import TypeAdapter  # costs 0.1 s, and not every verb reads plans

    return TypeAdapter(Plan)
