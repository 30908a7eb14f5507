"""Which part was full in a run: a worker, a server, a link, the lab's relays, the machine, or nothing that was metered.

Shares of a core are means over the steady state. The machine is what the kernel says of all its processes: what others
do on it counts, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from lab.load.metrics.judging import BUSY, verdict_of_limits
from lab.load.metrics.result import Result
from lab.load.metrics.watching import MACHINE, SERVICES

#: A part at this share of what it can do is the limit: the rest is lost in the unevenness of arrivals.
FULL = 0.9
#: From this share on messages wait for each other often enough to be what a bound was missed for.
HALF = 0.5


@dataclass(frozen=True)
class Surroundings:
    """What the parts can do at most."""

    cores: int = 1  # of the machine
    server_cores: Mapping[str, float] = field(default_factory=dict)  # what a server can use, 1.0 where not named
    together: float | None = None  # cores that all servers and services share, where they are pinned
    links: Mapping[str, int] = field(default_factory=dict)  # bytes per second by route, of links that have a rate
    delays: Mapping[str, float] = field(default_factory=dict)  # seconds of latency by route, of links that have any


class Part(NamedTuple):
    """A part of what carried a run, and how full it was."""

    share: float  # of what it can do
    name: str
    why: str


def limiting_part(
    result: Result, surroundings: Surroundings, around: Mapping[str, float] | None = None
) -> tuple[str, str]:
    """The part that was full in a run, and the sentence that says so.

    A worker without time to spare goes first: it hides the rest. A generator that was late, or sent too little, though
    it had time, was kept from its core: where the machine was full, by what filled it. A part that was full goes before
    it where delays arose behind it: a tick missed by 20 ms is not why messages took a second. Where nothing was full
    the part that came nearest is named if it was half full at least: what comes unevenly waits there.
    """
    around, cores, reasons = around or {}, result.cores(), verdict_of_limits(result)
    every = max(around.get(MACHINE, 0.0), sum(cores.values()))
    worker = max((used for name, used in cores.items() if name not in result.usage), default=0.0)
    idle = every < FULL * surroundings.cores
    if reasons and (worker >= BUSY or (idle and not _delayed_behind_it(result))):
        return "generator", reasons[0]
    parts = [*_servers(result, cores, surroundings), *_links(result, surroundings), *_around(around)]
    parts.append(Part(every / surroundings.cores, "machine", _machine(every, cores, surroundings)))
    full = next((part for part in parts if part.share >= FULL), None)
    if full is not None:
        return full.name, full.why
    if reasons:
        return "generator", reasons[0]
    fullest = max([*parts, Part(worker, "generator", f"a worker used {worker:.2f} of its core")])
    if fullest.share >= HALF:
        return fullest.name, f"{fullest.why}, and came nearest to its limit: what comes unevenly waits there"
    return "unknown", f"nothing was at its limit, and nearest came this: {fullest.why}; see what the servers wait for"


def _delayed_behind_it(result: Result) -> bool:
    """True if delays arose behind the generator for the most part: from the actual send they are nearly as long."""
    total = result.total
    return total.actual.percentile(99) >= HALF * total.intended.percentile(99)


def _servers(result: Result, cores: Mapping[str, float], surroundings: Surroundings) -> list[Part]:
    """Each, the fullest first; then all of them on the cores that they share."""
    used = {name: cores[name] for name in result.usage if name in cores}
    parts = []
    for name, spent in used.items():
        share = spent / surroundings.server_cores.get(name, 1.0)
        part = "all" if share >= 1 else f"{share:.0%}"  # ejabberd has threads beside the one that can be full
        why = f"server {name} used {spent:.2f} cores, {part} of what it can use"
        parts.append(Part(share, f"server {name}", why))
    parts.sort(reverse=True)
    if (most := surroundings.together) is not None:
        whole = sum(used.values())
        parts.append(
            Part(whole / most, "servers", f"servers used {whole:.2f} of the {most:g} cores they are pinned to")
        )
    return parts


def _links(result: Result, surroundings: Surroundings) -> list[Part]:
    """The fullest first."""
    parts = []
    for route, most in surroundings.links.items():
        carried = result.links.get(route, 0) / result.length if result.length else 0.0
        why = f"link {route} carried {carried / 1000:.1f} of its {most / 1000:.1f} KB/s"
        parts.append(Part(carried / most, f"link {route}", why))
    return sorted(parts, reverse=True)


def _around(around: Mapping[str, float]) -> list[Part]:
    used = around.get(SERVICES, 0.0)
    return [Part(used, "services", f"the lab's relays used {used:.2f} of the one core that they can use")]


def _machine(every: float, cores: Mapping[str, float], surroundings: Surroundings) -> str:
    said = f"all together used {every:.2f} of the machine's {surroundings.cores} cores"
    return f"{said} (servers and workers {sum(cores.values()):.2f})"
