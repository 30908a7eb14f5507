"""In what a running lab's plan differs from the one that is wanted, in words that a person can act on."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from lab.plan.files import find_differences as asked_differences
from lab.plan.model import Plan

#: Sentences at most: a lab with another shape differs everywhere.
LIMIT = 12


def find_differences(now: Plan, wanted: Plan) -> list[str]:
    """What `wanted`, planned with the runtime facts of `now`, has otherwise; empty if the plans are equal."""
    if now == wanted:
        return []
    found = asked_differences(now, wanted) or _rendered(now, wanted)
    if len(found) > LIMIT:
        found = [*found[:LIMIT], f"and {len(found) - LIMIT} more differences"]
    return found


def _rendered(now: Plan, wanted: Plan) -> list[str]:
    """Equal questions, other answers: the lab's own rendering, or the software, has changed since."""
    found = []
    for old, new in zip(now.servers, wanted.servers, strict=True):
        files, wanted_files = {file.path: file for file in old.files}, {file.path: file for file in new.files}
        for path in sorted(files.keys() | wanted_files.keys()):
            if files.get(path) != wanted_files.get(path):
                found.append(f"server {new.spec.name}: this version of xmpplab writes another {path}")
        found += [f"server {new.spec.name}: {change}" for change in _fields(old, new)]
    return found or ["this version of xmpplab plans it otherwise"]


def _fields(now: Any, wanted: Any) -> list[str]:
    pairs = [(one.name, getattr(now, one.name), getattr(wanted, one.name)) for one in fields(now)]
    return [f"another {name}" for name, a, b in pairs if name not in ("files", "spec") and a != b]
