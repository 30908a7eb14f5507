"""What the lab assumes of a server whose software it does not know: custom, external and scripted ones.

None of the lab's modules is in it, so that its feed, its probes and its policy are missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lab.servers.common import USUAL_SUBDOMAINS, with_subdomains
from lab.servers.software import Operation, Refusal
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


class UnknownSoftware:
    """The part of `Software` that is alike for all of them."""

    versions: tuple[str, ...] = ("",)
    instrumented = False
    socket = ""

    def suite(self, version: str) -> str:
        """No release: nothing is installed."""
        return ""

    def packages(self, version: str) -> tuple[str, ...]:
        """No packages."""
        return ()

    def hosts(self, domain: str) -> tuple[str, ...]:
        """The domain and the usual names below it."""
        return with_subdomains(domain, *USUAL_SUBDOMAINS)

    def build(self, prefix: str, libraries: str, source: str, target: str) -> tuple[str, ...] | None:
        """No modules."""
        return None

    def rosters(self, domain: str, rosters: Mapping[str, Sequence[str]]) -> tuple[Operation, ...]:
        """Nothing is known of how it keeps things."""
        return ()

    def forget(self, users: Sequence[str]) -> tuple[Operation, ...]:
        """Nothing is known of how it keeps things."""
        return ()

    def flush(self) -> tuple[Operation, ...]:
        """Nothing is known of how it keeps things."""
        return ()

    def refusal(self, version: str, kind: Unlinked) -> Refusal:
        """Any error will do."""
        return UNKNOWN_REFUSAL
