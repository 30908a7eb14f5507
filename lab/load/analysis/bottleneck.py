"""The bottleneck of a run: a worker, a server, a link, the lab's relays, the machine, or nothing that was metered.

Shares of a core are means over the steady state. "machine" is the CPU time of all processes as the kernel reports it,
those that do not belong to the lab included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from lab.load.metrics.resources import MACHINE, SERVICES
from lab.load.metrics.result import BUSY, Result, find_generator_limits

#: A component at this share of its capacity is saturated: arrivals are uneven, so that it cannot use the rest.
SATURATED = 0.9
#: From this share on messages wait for each other often enough to be the reason why a bound was exceeded.
QUEUEING = 0.5


@dataclass(frozen=True)
class Capacities:
    """What the components of a run can do at most."""

    cores: int = 1  # of the machine
    server_cores: Mapping[str, float] = field(default_factory=dict)  # that a server can use, 1.0 where not named
    pinned_cores: float | None = None  # that all servers and services share, where they are pinned
    links: Mapping[str, int] = field(default_factory=dict)  # bytes per second by route, of links with a rate
    delays: Mapping[str, float] = field(default_factory=dict)  # seconds of latency by route, of links with a latency


class Utilization(NamedTuple):
    """How much of its capacity a component used."""

    share: float
    component: str
    sentence: str


def find_bottleneck(
    result: Result, capacities: Capacities, other_cores: Mapping[str, float] | None = None
) -> tuple[str, str]:
    """The bottleneck of a run, and the sentence that says why; `other_cores` are those of "machine" and "services".

    Rules, in this order:
    - A worker that used its whole core is the bottleneck: nothing else can be judged then.
    - A generator that was late or sent too little although the machine was idle is the bottleneck, unless most of the
      delay arose after the sending: a tick that was 20 ms late does not explain a message that took a second.
    - A component that was saturated is.
    - A generator that was late or sent too little is.
    - The component with the highest utilization is, if it was at half of its capacity: bursts wait there.
    - Else it is "unknown".
    """
    other_cores, cores, reasons = other_cores or {}, result.cores(), find_generator_limits(result)
    every = max(other_cores.get(MACHINE, 0.0), sum(cores.values()))
    worker = max((used for name, used in cores.items() if name not in result.usage), default=0.0)
    idle = every < SATURATED * capacities.cores
    if reasons and (worker >= BUSY or (idle and not _delayed_after_sending(result))):
        return "generator", reasons[0]
    components = [*_servers(result, cores, capacities), *_links(result, capacities), _services(other_cores)]
    components.append(Utilization(every / capacities.cores, "machine", _machine(every, cores, capacities)))
    saturated = next((one for one in components if one.share >= SATURATED), None)
    if saturated is not None:
        return saturated.component, saturated.sentence
    if reasons:
        return "generator", reasons[0]
    highest = max([*components, Utilization(worker, "generator", f"a worker used {worker:.2f} of its core")])
    if highest.share >= QUEUEING:
        return highest.component, f"{highest.sentence}, the highest utilization: bursts of messages wait there"
    sentence = f"nothing was at its limit; the highest utilization: {highest.sentence}"
    return "unknown", f"{sentence}; find out what the servers wait for"


def _delayed_after_sending(result: Result) -> bool:
    """Whether most of the delay arose after the sending: measured from there it is at least half as long."""
    total = result.total
    return total.actual.percentile(99) >= 0.5 * total.intended.percentile(99)


def _servers(result: Result, cores: Mapping[str, float], capacities: Capacities) -> list[Utilization]:
    """Each server, the highest utilization first; then all of them on the cores that they share."""
    used = {name: cores[name] for name in result.usage if name in cores}
    found = []
    for name, spent in used.items():
        share = spent / capacities.server_cores.get(name, 1.0)
        part = "all" if share >= 1 else f"{share:.0%}"  # ejabberd has threads beside the one that can be saturated
        sentence = f"server {name} used {spent:.2f} cores, {part} of what it can use"
        found.append(Utilization(share, f"server {name}", sentence))
    found.sort(reverse=True)
    if (most := capacities.pinned_cores) is not None:
        whole = sum(used.values())
        sentence = f"servers used {whole:.2f} of the {most:g} cores they are pinned to"
        found.append(Utilization(whole / most, "servers", sentence))
    return found


def _links(result: Result, capacities: Capacities) -> list[Utilization]:
    """The highest utilization first."""
    found = []
    for route, most in capacities.links.items():
        carried = result.links.get(route, 0) / result.length if result.length else 0.0
        sentence = f"link {route} carried {carried / 1000:.1f} of its {most / 1000:.1f} KB/s"
        found.append(Utilization(carried / most, f"link {route}", sentence))
    return sorted(found, reverse=True)


def _services(other_cores: Mapping[str, float]) -> Utilization:
    used = other_cores.get(SERVICES, 0.0)
    return Utilization(used, "services", f"the lab's relays used {used:.2f} of the one core that they can use")


def _machine(every: float, cores: Mapping[str, float], capacities: Capacities) -> str:
    said = f"all processes together used {every:.2f} of the machine's {capacities.cores} cores"
    return f"{said} (servers and workers {sum(cores.values()):.2f})"
