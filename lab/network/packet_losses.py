"""Packets that are lost in one direction of a link, where the kernel can drop them.

What travels from a to b is what a sends to the relay from a to b, and what the relay from b to a answers to b. These
packets, and no others, are dropped by lot when the kernel receives them. TCP sends them again: no byte is lost.

Of several losses in one direction the later one holds.
"""

from __future__ import annotations

from collections.abc import Mapping

from lab.network.relay import Relay
from lab.system.packet_filter import Drop, PacketFilter

Direction = tuple[str, str]  # source, target


class PacketLosses:
    """The losses in all directions of a lab."""

    def __init__(self, packet_filter: PacketFilter, address: str, relays: Mapping[Direction, Relay]) -> None:
        """`address` is that of the relays."""
        self._filter, self._address = packet_filter, address
        self._ports = {direction: relay.plan.port for direction, relay in relays.items()}
        self._shares: dict[Direction, dict[str, float]] = {}  # by token

    async def apply(self, direction: Direction, token: str, share: float) -> None:
        """Lose that share of the packets until `heal`. Raises PeerError, TimedOut."""
        self._shares.setdefault(direction, {})[token] = share
        await self._filter.set(self._list_drops())

    async def heal(self, direction: Direction, token: str) -> None:
        """End the loss of that token, if there is one. Raises PeerError, TimedOut."""
        if self._shares.get(direction, {}).pop(token, None) is not None:
            await self._filter.set(self._list_drops())

    async def close(self) -> None:
        """End all losses."""
        self._shares.clear()
        await self._filter.close()

    def _list_drops(self) -> list[Drop]:
        found = []
        for (source, target), shares in self._shares.items():
            for share in list(shares.values())[-1:]:
                found.append(Drop(self._address, self._ports[source, target], arriving=True, share=share))
                if (target, source) in self._ports:
                    found.append(Drop(self._address, self._ports[target, source], arriving=False, share=share))
        return found
