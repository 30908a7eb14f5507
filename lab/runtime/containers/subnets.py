"""Which addresses a lab gets: one /20 of 198.18.0.0/15, the range set aside for benchmarks (RFC 2544, RFC 6890).

No real network uses that range, so a lab never hides one. 32 labs fit. Pure: reading what is taken and
reserving what was chosen is the runtime's work (a network that could be created is the reservation).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Network

RANGE = IPv4Network("198.18.0.0/15")
PREFIX = 20  # 256 addresses of the lab's own, then servers from 256 on, agents from 3072 on

GATEWAY = 1  # the engine's bridge: the host itself
AGENTS = 3072  # the last quarter (a /22): the engine hands these out by itself
AGENTS_PREFIX = 22


@dataclass(frozen=True)
class Subnet:
    """A lab's network."""

    network: IPv4Network

    @property
    def gateway(self) -> str:
        """The host's own address on it."""
        return str(self.network[GATEWAY])

    @property
    def agents(self) -> str:
        """The part from which the engine gives addresses to containers that asked for none."""
        return str(IPv4Network((self.network[AGENTS], AGENTS_PREFIX)))


def find_free(taken: Iterable[str]) -> list[Subnet]:
    """Subnets that overlap none of the networks taken ("10.0.0.0/8"), in order; what is no IPv4 network is ignored."""
    used = [network for text in taken if (network := _network(text)) is not None]
    return [
        Subnet(candidate)
        for candidate in RANGE.subnets(new_prefix=PREFIX)
        if not any(candidate.overlaps(network) for network in used)
    ]


def parse_routes(text: str) -> list[str]:
    """Networks of this host's routing table, from the text of /proc/net/route; the default route is left out."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or fields[7] == "00000000":
            continue
        address, mask = (int.from_bytes(bytes.fromhex(fields[k]), "little") for k in (1, 7))
        found.append(str(IPv4Network((address, mask.bit_count()), strict=False)))
    return found


def _network(text: str) -> IPv4Network | None:
    try:
        return IPv4Network(text, strict=False)
    except (AddressValueError, ValueError):  # IPv6, or no subnet given
        return None
