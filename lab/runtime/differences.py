"""In what two plans for the same ground differ, in words that a person can act on."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from lab.plan.model import Plan
from lab.topology.spec import Link, Topology

#: Sentences at most: a lab with another shape differs everywhere.
LIMIT = 12


def differences(now: Plan, wanted: Plan) -> list[str]:
    """What `wanted` has otherwise than `now`; empty if the plans are equal."""
    if now == wanted:
        return []
    found = _topologies(now.topology, wanted.topology) or _rendered(now, wanted)
    if len(found) > LIMIT:
        found = [*found[:LIMIT], f"and {len(found) - LIMIT} more differences"]
    return found


def _topologies(now: Topology, wanted: Topology) -> list[str]:
    found = _fields(now, wanted, skip=("servers", "links"))
    old, new = {one.name: one for one in now.servers}, {one.name: one for one in wanted.servers}
    found += [f"server {name}: not wanted any more" for name in old.keys() - new.keys()]
    found += [f"server {name}: new" for name in new.keys() - old.keys()]
    for name in [one.name for one in wanted.servers if one.name in old]:
        found += [f"server {name}: {change}" for change in _fields(old[name], new[name])]
    before, after = {one.pair: one for one in now.links}, {one.pair: one for one in wanted.links}
    found += [f"link {_name(before[pair])}: not wanted any more" for pair in before.keys() - after.keys()]
    found += [f"link {_name(after[pair])}: new" for pair in after.keys() - before.keys()]
    for pair in before.keys() & after.keys():
        found += [f"link {_name(after[pair])}: {change}" for change in _fields(before[pair], after[pair])]
    if not found and now != wanted:
        found.append("servers or links stand in another order")
    return found


def _rendered(now: Plan, wanted: Plan) -> list[str]:
    """The topologies are equal: the lab's own rendering or software has changed since."""
    found = []
    for old, new in zip(now.servers, wanted.servers, strict=True):
        files, wanted_files = {file.path: file for file in old.files}, {file.path: file for file in new.files}
        for path in sorted(files.keys() | wanted_files.keys()):
            if files.get(path) != wanted_files.get(path):
                found.append(f"server {new.spec.name}: this version writes another {path}")
        found += [f"server {new.spec.name}: {change}" for change in _fields(old, new, skip=("files", "spec"))]
    return found or ["the plan is made otherwise by this version"]


def _fields(now: Any, wanted: Any, skip: tuple[str, ...] = ()) -> list[str]:
    pairs = [(one.name, getattr(now, one.name), getattr(wanted, one.name)) for one in fields(now)]
    return [f"{name}: {_text(a)} now, {_text(b)} wanted" for name, a, b in pairs if name not in skip and a != b]


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _name(link: Link) -> str:
    return f"{link.a} - {link.b}"
