"""How a load recovered from faults: losses during and after each, and the time until it was as before.

The measure is the steady state before the first fault: its whole seconds, of which there must be `LEAST_SECONDS`. After
a fault is healed the load has recovered at the beginning of the first whole second from which on `HELD` seconds in a
row are like those: at least `RATE` of the messages per second of the slowest of them were received, and p95 of the
delays is at most `DELAY` times that of the slowest of them. Where the rate of arrivals changes, messages per second are
relative to it. Only the routes that the fault concerns count. So the figure has a resolution of one second.

It is not known if another fault that concerns these routes begins before, or the load ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lab.load.metrics.counters import RouteCounters
from lab.load.metrics.fault_record import IN_FLIGHT, FaultRecord, count_failures
from lab.load.metrics.result import Result
from lab.load.workload.arrivals import parse_arrivals

LEAST_SECONDS, HELD = 3, 3
RATE, DELAY = 0.9, 1.25
_PERCENT = 95

#: Counters by whole seconds of the load and route.
RoutesBySecond = Mapping[int, Mapping[str, RouteCounters]]


def collect_seconds(samples: Iterable[Mapping[str, Any]]) -> dict[int, dict[str, RouteCounters]]:
    """Counters of each second by route, from the samples of all workers."""
    found: dict[int, dict[str, RouteCounters]] = {}
    for sample in samples:
        second = found.setdefault(int((sample["from"] + sample["to"]) / 2), {})
        for phase in ("steady", "warmup"):
            for route, data in sample[phase].items():
                second.setdefault(route, RouteCounters()).add(RouteCounters.from_json(data))
    return found


def measure_faults(faults: Sequence[FaultRecord], result: Result, seconds: RoutesBySecond) -> list[FaultRecord]:
    """The faults with their figures, in the order in which they were applied."""
    ordered = sorted(faults, key=lambda one: one.applied)
    return [_measure(fault, ordered, result, seconds) for fault in ordered]


def _measure(
    fault: FaultRecord, ordered: Sequence[FaultRecord], result: Result, seconds: RoutesBySecond
) -> FaultRecord:
    end = result.plan.get("warmup", 0.0) + result.length
    recovery, unknown = (None, "it acted until the end") if _acted_to_end(fault, end) else (None, "")
    if not unknown:
        recovery, unknown = _find_recovery(fault, ordered, result, seconds, end)
    healed = math.inf if fault.healed is None else fault.healed
    until = math.inf if recovery is None else healed + recovery
    begin, failures = fault.applied - IN_FLIGHT, result.failures
    return replace(
        fault,
        recovery=recovery,
        unknown=unknown,
        lost_during=count_failures(failures, "lost", [fault], begin, healed),
        bounced_during=count_failures(failures, "bounced", [fault], begin, healed),
        lost_after=count_failures(failures, "lost", [fault], healed, until),
        bounced_after=count_failures(failures, "bounced", [fault], healed, until),
    )


def _acted_to_end(fault: FaultRecord, end: float) -> bool:
    return fault.healed is None or fault.healed >= end


def _find_recovery(
    fault: FaultRecord, ordered: Sequence[FaultRecord], result: Result, seconds: RoutesBySecond, end: float
) -> tuple[float | None, str]:
    """Seconds from the healing until the load was as before; or None, and why it is not known."""
    assert fault.healed is not None
    routes = {route for of in seconds.values() for route in of if fault.concerns(route)}
    planned = _planned_rate(result)

    def figures(second: int) -> tuple[float, float]:
        """Messages received, as a multiple of the rate asked for, and p95 in seconds; infinite if none was."""
        together = RouteCounters()
        for route in routes & {*seconds.get(second, {})}:
            together.add(seconds[second][route])
        delay = together.intended.percentile(_PERCENT) if together.intended.total else math.inf
        return together.received / planned(second), delay

    first = min(one.applied for one in ordered)
    before = [figures(one) for one in range(math.ceil(result.plan["warmup"]), math.floor(first))]
    if len(before) < LEAST_SECONDS:
        return None, f"it needs {LEAST_SECONDS} s of steady state before the first fault, and there were {len(before)}"
    rate, delay = RATE * min(one[0] for one in before), DELAY * max(one[1] for one in before)
    if not rate or math.isinf(delay):
        return None, "before the fault there was a second in which nothing was received"
    routes_of = [one for one in ordered if one.applied > fault.applied and any(map(one.concerns, routes))]
    stop = min([end, *(one.applied for one in routes_of if one.applied >= fault.healed)])
    alike = [
        rate <= received and p95 <= delay
        for received, p95 in map(figures, range(math.ceil(fault.healed), math.floor(stop)))
    ]
    for number in range(len(alike) - HELD + 1):
        if all(alike[number : number + HELD]):
            return math.ceil(fault.healed) + number - fault.healed, ""
    what = "the next fault" if stop < end else "the end of the load"
    return None, f"not in the {max(0.0, stop - fault.healed):.1f} s until {what}"


def _planned_rate(result: Result) -> Callable[[int], float]:
    """The rate asked for in the middle of a second, relative to that at the start; 1.0 where there is none."""
    arrivals = parse_arrivals(result.plan["arrivals"]) if result.plan.get("arrivals") else None
    if arrivals is None or arrivals.rates is None:
        return lambda second: 1.0
    rates, warmup = arrivals.rates, result.plan["warmup"]
    start = rates.get_rate(0.0) or 1.0
    return lambda second: rates.get_rate(max(0.0, second + 0.5 - warmup)) / start or 1.0
