"""What the lab assumes of a server whose software it does not know: custom, external and scripted ones.

None of the lab's modules is in it, so that its feed, its probes and its policy are missing.
"""

from __future__ import annotations

from lab.servers.software import ANY_REFUSAL, Refusal, Software
from lab.topology.spec import Unlinked


class UnknownSoftware(Software):
    """The part of `Software` that is alike for all of them."""

    def refusal(self, version: str, kind: Unlinked) -> Refusal:
        """Any error will do."""
        return ANY_REFUSAL
