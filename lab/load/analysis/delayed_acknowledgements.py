"""Delays that TCP makes, not the servers: Nagle's algorithm against delayed acknowledgements.

A socket without TCP_NODELAY holds a small write back while an earlier one is not acknowledged (RFC 9293 section 3.7.4),
and the receiver's kernel acknowledges after 40 ms what it has no answer for (section 3.8.6.3). So a message that
follows another one closely waits up to 40 ms, whatever servers and relays do. That leaves a mark in the delays of a
link: half of the messages are fast, and the slowest twentieth begins just where the acknowledgement ends the wait.
"""

from __future__ import annotations

from lab.load.metrics.result import Result

#: Linux waits this long (TCP_DELACK_MIN), in seconds; p95 of such delays is near it, with what a delivery takes.
_LEAST, _MOST = 0.032, 0.052
#: Seconds that the median has at most: more is another cause, which hides this one.
_MEDIAN = 0.020
#: Messages below which percentiles say nothing.
_ENOUGH = 200


def find_delayed_links(result: Result) -> list[str]:
    """The links whose delays look like it, "a->b", in order. Delays count from the time when a message was written."""
    found = []
    for route, tally in sorted(result.routes.items()):
        delays = tally.actual
        if (
            "->" in route
            and delays.total >= _ENOUGH
            and delays.percentile(50) <= _MEDIAN
            and _LEAST <= delays.percentile(95) <= _MOST
        ):
            found.append(route)
    return found
