"""Whether a result says something about the servers, or only about the generator that was too slow for it."""

from __future__ import annotations

import math

from lab.load.metrics.result import Result

#: A worker is one thread: from here on its own work delays what it measures.
BUSY = 0.9  # cores
#: The engine sleeps up to a tick; looking later than this many ticks is its own doing, not the tick's.
LATE_TICKS = 4
#: Less sent than this share of what was asked for: the generator could not. A drawn number of arrivals varies by its
#: root, so that many roots are allowed on top.
SENT, ROOTS = 0.98, 3


def verdict_of_limits(result: Result) -> tuple[str, ...]:
    """Why the generator was the limit, a sentence each with figures and what to do; () if it was not."""
    reasons = []
    if not result.length:
        return ("the steady state was never reached: there is nothing to judge",)
    for name, cores in sorted(result.cores().items()):
        if name.startswith("worker ") and cores >= BUSY:
            reasons.append(f"{name} kept {cores:.2f} of its core busy: take more workers, or a lower rate")
    late, tick = result.lag.percentile(99), result.plan["tick"]
    if late > LATE_TICKS * tick:
        reasons.append(
            f"the generator was {late * 1000:.1f} ms late in 1 % of its ticks of {tick * 1000:g} ms, and delays from "
            "the intended time hold that: take more workers or a lower rate, or leave it a core of its own"
        )
    expected, sent = result.plan["expected"], result.total.sent
    complete = result.length >= SENT * result.plan["seconds"]
    if expected and complete and sent < SENT * expected - ROOTS * math.sqrt(expected):
        reasons.append(f"{sent} of {expected:.0f} messages asked for were sent: take more workers, or a lower rate")
    return tuple(reasons)
