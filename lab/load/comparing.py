"""Two loads side by side, from their folders alone: figure by figure, with what they were measured under."""

from __future__ import annotations

from typing import Any

from lab.load.keeping import Kept
from lab.load.results import Result
from lab.topology.spec import Topology

#: What makes two loads the same load; where it differs, their figures differ for that reason too.
PLAN = ("workers", "warmup", "seconds", "tick", "expected")


def figures(result: Result) -> dict[str, float]:
    """What is compared: delays in ms, shares, rates, CPU seconds per 1000 messages of each server and worker."""
    total = result.total
    found = {
        "sent": float(total.sent),
        "received per s": result.rate,
        **{f"p{percent} ms": 1000 * total.intended.percentile(percent) for percent in (50, 95, 99)},
        "max ms": 1000 * total.intended.max,
        "lost %": 100 * total.loss,
        "bounced %": 100 * (total.failed - total.loss),
        "duplicates": float(total.duplicates),
        "send lag p99 ms": 1000 * result.lag.percentile(99),
    }
    found |= {f"{name}: CPU s per 1000": spent for name, spent in result.cost().items()}
    return found


def rows(first: Kept, second: Kept) -> list[dict[str, Any]]:
    """A row for each figure: of the first, of the second, how much more or less the second is (None from 0)."""
    a, b = figures(first.result), figures(second.result)
    return [
        {
            "figure": name,
            "first": _rounded(a.get(name)),
            "second": _rounded(b.get(name)),
            "change_percent": round(100 * (b[name] / a[name] - 1), 1) if a.get(name) and name in b else None,
        }
        for name in dict.fromkeys((*a, *b))
    ]


def differences(first: Kept, second: Kept, topologies: tuple[Topology, Topology]) -> list[str]:
    """What else was not the same, a sentence each."""
    said = []
    asked, other = dict(first.job.load), dict(second.job.load)
    for name in sorted({*asked, *other}):
        if asked.get(name) != other.get(name):
            said.append(f"{name}: {_text(asked.get(name))} and {_text(other.get(name))}")
    if topologies[0] != topologies[1]:
        names = [one.name for one in topologies]
        said.append(
            f"topology: {names[0]} and {names[1]}" if names[0] != names[1] else "topology: of one name, not alike"
        )
    for name in PLAN:
        a, b = (kept.result.plan.get(name) for kept in (first, second))
        if a != b and name not in asked and name not in other:
            said.append(f"{name}: {_text(a)} and {_text(b)}")
    if first.job.pin != second.job.pin:
        said.append("one of them had cores of its own (--pin)")
    for which, kept in (("first", first), ("second", second)):
        said += [f"in the {which} the generator was the limit: {reason}" for reason in kept.limits]
        if kept.interrupted:
            said.append(f"the {which} was interrupted: {kept.interrupted}")
    return said


def _text(value: object) -> str:
    return "as by default" if value is None else str(value)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
