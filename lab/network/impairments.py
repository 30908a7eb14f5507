"""What faults do to one direction of a link, on top of the conditions that the topology gives it.

Each impairment has a token, so that two faults may act on the same direction and heal in any order: the conditions of
all of them hold, of two that set the same field the later one; of several cuts the latest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lab.declarations.links import Conditions
from lab.network.relay import Cut, Relay


class LinkImpairments:
    """The conditions and the cut of one relay."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._base = relay.out.conditions
        self._changes: dict[str, Mapping[str, Any]] = {}
        self._cuts: dict[str, Cut] = {}

    def set_base(self, changes: Mapping[str, Any]) -> Conditions:
        """Change the conditions that hold without any impairment; those that hold now."""
        self._base = replace(self._base, **changes)
        return self._conditions()

    async def impair(self, token: str, changes: Mapping[str, Any], cut: Cut | None) -> Conditions:
        """Change link fields, cut the direction, or both, until `restore`; the conditions that hold now."""
        await self._set(token, changes, cut)
        return self._conditions()

    async def restore(self, token: str) -> bool:
        """End the impairment of that token; whether there was one."""
        if token not in self._changes and token not in self._cuts:
            return False
        await self._set(token, {}, None)
        self._conditions()
        return True

    async def _set(self, token: str, changes: Mapping[str, Any], cut: Cut | None) -> None:
        self._changes.pop(token, None)
        self._cuts.pop(token, None)
        if changes:
            self._changes[token] = changes
        if cut is not None:
            self._cuts[token] = cut
        await self._relay.cut(list(self._cuts.values())[-1] if self._cuts else None)

    def _conditions(self) -> Conditions:
        conditions = self._base
        for changes in self._changes.values():
            conditions = replace(conditions, **changes)
        self._relay.out.conditions = conditions
        return conditions
