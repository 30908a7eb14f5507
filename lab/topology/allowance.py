"""How much longer a deadline must be where links are slow. Pure.

Every deadline for something that passes a link is that of a fast one and the allowance of the route: readiness,
outcomes of messages, awaited stanzas, pings, markers.
"""

from __future__ import annotations

from lab.topology.spec import Link, Topology

ROUND_TRIPS = 16  # of two streams, one each way (TCP, two stream headers, STARTTLS, TLS, SASL), and a ping
STREAM_BYTES = 40_000  # that these two carry each way, most of it certificates


def route_allowance(topology: Topology, *servers: str) -> float:
    """Seconds more that a stanza and its answer may need between servers, by name: on the slowest of their links."""
    known = frozenset(servers)
    return max((_allowance(link) for link in topology.links if link.pair <= known), default=0.0)


def largest_allowance(topology: Topology, server: str | None = None) -> float:
    """The largest of any link, or of any that a server has."""
    return max((_allowance(link) for link in topology.links if server is None or server in link.pair), default=0.0)


def _allowance(link: Link) -> float:
    """Seconds more that a stream each way over this link and a ping may need, if the servers give up once."""
    rates = [one.rate for one in (link.forward, link.backward) if one.rate is not None]
    return 2 * (ROUND_TRIPS * link.round_trip + sum(STREAM_BYTES / rate for rate in rates))
