"""A plan as text (JSON), and in what two plans differ, in sentences."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from lab.declarations.links import LINK_FIELDS, Conditions
from lab.errors import UserError
from lab.input_files import Steps, decode_json, read_json
from lab.plan.model import Plan
from lab.topology.spec import Link, Server, Topology


def dump(plan: Plan) -> str:
    """The plan as JSON text with an end of line; the inverse of `load`."""
    return f"{_adapter().dump_json(plan, indent=1, by_alias=True).decode()}\n"


def read(path: Path) -> Plan:
    """The plan of a file. Raises UserError with file and line if it is damaged, FileNotFoundError without a file."""
    return read_json(path, Plan, "a plan", check=_contradiction)


def load(text: str, place: str = "plan") -> Plan:
    """The plan of such text. Raises UserError if it is none, or one of another version of the lab."""
    return decode_json(text, Plan, place, check=_contradiction)


def _contradiction(plan: Plan) -> tuple[Steps, str] | None:
    """Where the parts of a plan do not fit together, and what is wrong there."""
    servers = plan.topology.servers
    names = [server.name for server in servers]
    if not names:
        return ("topology", "servers"), "there is no server"
    for index, server in enumerate(servers):
        if server.name in names[:index]:
            return ("topology", "servers", index, "name"), f"{server.name!r} is the name of another server"
        try:
            _ = server.manifest
        except UserError as error:
            return ("topology", "servers", index, "software"), str(error)
    if len(plan.servers) != len(servers):
        return ("servers",), f"there are {len(plan.servers)}, and the topology has {len(servers)}"
    for index, (planned, server) in enumerate(zip(plan.servers, servers, strict=True)):
        for part in fields(server):
            if getattr(planned.spec, part.name) != getattr(server, part.name):
                return ("servers", index, "spec", part.name), "it is not what the topology has"
    if (wrong := _find_wrong_condition(plan)) is not None:
        return wrong
    named: list[tuple[Steps, str]] = []
    for index, link in enumerate(plan.topology.links):
        named += [(("topology", "links", index, "a"), link.a), (("topology", "links", index, "b"), link.b)]
    for index, relay in enumerate(plan.relays):
        named += [(("relays", index, "source"), relay.source), (("relays", index, "target"), relay.target)]
    for index, planned in enumerate(plan.servers):
        named += [(("servers", index, "probes", place), name) for place, name in enumerate(planned.probes)]
    return next(((steps, f"there is no server {name!r}") for steps, name in named if name not in names), None)


def _find_wrong_condition(plan: Plan) -> tuple[Steps, str] | None:
    """The first value of a link or a relay that no direction can have: deadlines and relays compute with them."""
    directions: list[tuple[Steps, Conditions]] = []
    for index, link in enumerate(plan.topology.links):
        place: Steps = ("topology", "links", index)
        directions += [((*place, "forward"), link.forward), ((*place, "backward"), link.backward)]
    directions += [(("relays", index, "conditions"), relay.conditions) for index, relay in enumerate(plan.relays)]
    for steps, conditions in directions:
        for field in LINK_FIELDS:
            try:
                field.accept(getattr(conditions, field.name))
            except UserError as error:
                return (*steps, field.name), str(error)
    return None


def find_differences(old: Plan, new: Plan) -> list[str]:
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
    return _changes("the topology", _topology_facts(old), _topology_facts(new))


def _topology_facts(topology: Topology) -> dict[str, Any]:
    return {"unlinked": topology.unlinked, "placement of people": topology.placement}


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
