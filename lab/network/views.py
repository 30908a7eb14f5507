"""Whose view of the lab's names an asker gets: a server's own, that of the lab's other members, or none."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from lab.plan.model import Plan
from lab.plan.zones import Zones


class Views:
    """The views of one plan."""

    def __init__(self, plan: Plan, zones: Zones) -> None:
        self._zones = zones
        self._network = ip_network(plan.facts.network)

    def of(self, address: str, port: int) -> str | None:
        """The server that asks, by its address or the port it asked; "" for others of the lab, None for a stranger."""
        server = self._zones.asker(address, port)
        if server or ip_address(address) in self._network:
            return server
        return None
