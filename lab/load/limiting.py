"""Which part was full in a run: a worker, a server, a link, the lab's relays, the machine, or nothing that was metered.

Shares of a core are means over the steady state. The machine is what the kernel says of all its processes: what others
do on it counts, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.load.judging import BUSY, verdict_of_limits
from lab.load.results import Result
from lab.load.watching import MACHINE, SERVICES

#: A part at this share of what it can do is the limit: the rest is lost in the unevenness of arrivals.
FULL = 0.9


@dataclass(frozen=True)
class Surroundings:
    """What the parts can do at most."""

    cores: int = 1  # of the machine
    server_cores: Mapping[str, float] = field(default_factory=dict)  # what a server can use, 1.0 where not named
    together: float | None = None  # cores that all servers and services share, where they are pinned
    links: Mapping[str, int] = field(default_factory=dict)  # bytes per second by route, of links that have a rate
    delays: Mapping[str, float] = field(default_factory=dict)  # seconds of latency by route, of links that have any


def limiting_part(
    result: Result, surroundings: Surroundings, around: Mapping[str, float] | None = None
) -> tuple[str, str]:
    """The part that was full in a run, and the sentence that says so.

    A worker without time to spare goes first: it hides the rest. A generator that was late, or sent too little, though
    it had time, was kept from its core: where the machine was full, by what filled it.
    """
    around, cores, reasons = around or {}, result.cores(), verdict_of_limits(result)
    worker = max((used for name, used in cores.items() if name not in result.usage), default=0.0)
    if reasons and worker >= BUSY:
        return "generator", reasons[0]
    every, most = max(around.get(MACHINE, 0.0), sum(cores.values())), surroundings.cores
    if reasons and every < FULL * most:
        return "generator", reasons[0]
    if found := _full_server(result, cores, surroundings) or _full_link(result, surroundings):
        return found
    if around.get(SERVICES, 0.0) >= FULL:
        return "services", f"the lab's relays used {around['services']:.2f} cores, and have one: make links direct"
    if every >= FULL * most:
        return "machine", _machine(every, cores, surroundings)
    if reasons:
        return "generator", reasons[0]
    return "unknown", "no server, link or worker was at its limit: look at what the servers wait for"


def _full_server(result: Result, cores: Mapping[str, float], surroundings: Surroundings) -> tuple[str, str] | None:
    used = {name: cores[name] for name in result.usage if name in cores}
    shares = {name: spent / surroundings.server_cores.get(name, 1.0) for name, spent in used.items()}
    if shares and max(shares.values()) >= FULL:
        name = max(shares, key=shares.__getitem__)
        return f"server {name}", f"server {name} used {cores[name]:.2f} cores, {shares[name]:.0%} of what it can use"
    most = surroundings.together
    if most is not None and sum(used.values()) >= FULL * most:
        return "servers", f"servers used {sum(used.values()):.2f} of the {most:g} cores that they are pinned to"
    return None


def _full_link(result: Result, surroundings: Surroundings) -> tuple[str, str] | None:
    for route, most in surroundings.links.items():
        carried = result.links.get(route, 0) / result.length if result.length else 0.0
        if carried >= FULL * most:
            return f"link {route}", f"link {route} carried {carried / 1000:.1f} of its {most / 1000:.1f} KB/s"
    return None


def _machine(every: float, cores: Mapping[str, float], surroundings: Surroundings) -> str:
    own = sum(cores.values())
    said = f"all together used {every:.2f} of the machine's {surroundings.cores} cores"
    return f"{said}, servers and workers {own:.2f} of them"
