"""What the lab assumes of a server whose software it does not know: custom, external and scripted ones.

None of the lab's modules is in it, so that its feed, its probes and its policy are missing.
"""

from __future__ import annotations

from lab.servers.software import Refusal, Software
from lab.topology.spec import Unlinked

#: What a sender may get on a server that nobody measured: any error that says "not reached", within the longest
#: time that a server waits by default (Prosody gives up after 90 s).
UNKNOWN_REFUSAL = Refusal(
    (
        "remote-server-not-found", "remote-server-timeout", "not-allowed", "forbidden", "service-unavailable",
        "policy-violation", "recipient-unavailable", "not-authorized",
    ),
    100.0,
)  # fmt: skip


class UnknownSoftware(Software):
    """The part of `Software` that is alike for all of them."""

    def refusal(self, version: str, kind: Unlinked) -> Refusal:
        """Any error will do."""
        return UNKNOWN_REFUSAL
