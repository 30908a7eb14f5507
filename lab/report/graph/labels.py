"""The texts that all drawings of a topology use for a server, for a link and for the whole topology."""

from __future__ import annotations

from lab.topology.facts import Facts
from lab.topology.spec import Authentication, Certificate, Feed, Link, Server, Tls, Topology, Unlinked
from lab.topology.words import count

UNLINKED = {
    Unlinked.NOT_ALLOWED: "not allowed, by policy at both ends",
    Unlinked.NXDOMAIN: "the other's name does not exist (nxdomain)",
    Unlinked.REFUSED: "the other's port refuses (refused)",
    Unlinked.UNREACHABLE: "nothing answers (unreachable)",
}


def describe_software(server: Server) -> str:
    """ "prosody 13.0", "mine", "external"."""
    if server.custom is not None:
        return server.custom.name
    return f"{server.software_name} {server.version}".strip()


def list_remarks(server: Server) -> list[str]:
    """What differs from an ordinary server: its domain, TLS, authentication, certificate, feed, address."""
    ordinary = Authentication.DIALBACK if server.tls is Tls.OFF else Authentication.EXTERNAL
    said = [
        (server.domain != f"{server.name}.test", server.domain),
        (server.address is not None, f"at {server.address}"),
        (server.tls is not Tls.REQUIRED, f"TLS {server.tls}"),
        (server.authentication is not ordinary, f"authentication {server.authentication}"),
        (server.certificate is not Certificate.VALID, f"certificate {server.certificate}"),
        (server.feed is not Feed.FULL, f"feed {server.feed}"),
    ]
    return [text for holds, text in said if holds]


def describe_link(value: Link, start: str | None = None) -> str:
    """Its conditions, "" if there are none. Where the directions differ, the one from `start` (default: `a`) comes
    first.
    """
    if not value.comes_up:
        return "must not come up"
    if value.direct:
        return "direct"
    out, back = value.forward.describe(), value.backward.describe()
    if out == back:
        return out
    if start == value.b:
        out, back = back, out
    return f"→ {out or 'plain'} ← {back or 'plain'}"


def describe_totals(facts: Facts) -> str:
    """The facts of the graph in one line."""
    least, most = min(facts.degrees), max(facts.degrees)
    parts = [
        f"{count(facts.servers, 'server')}, {count(facts.links, 'link')}",
        "connected" if facts.components == 1 else f"{facts.components} separate parts",
        f"diameter {facts.diameter}, mean distance {facts.mean_distance:.2f}",
        count(most, "link") + " each"
        if least == most
        else f"{least} to {most} links each (mean {facts.mean_degree:.1f})",
        f"centralisation {facts.centralisation:.2f}",
    ]
    return " · ".join(parts)


def describe_unlinked(topology: Topology) -> str:
    """What happens between servers without a link, with the number of such pairs, as a sentence."""
    pairs = len(topology.servers) * (len(topology.servers) - 1) // 2 - len(topology.links)
    if not pairs:
        return "Everyone is linked with everyone."
    return f"Without a link ({count(pairs, 'pair')}): {UNLINKED[topology.unlinked]}."
