"""A server that the person runs themselves, in a debugger for instance. The lab only gives its address to the others.

Its certificate is made like any other's and lies in its folder; nothing is rendered, started or observed.
"""

from __future__ import annotations

from collections.abc import Sequence

from lab.servers.common import USUAL_SUBDOMAINS, with_subdomains
from lab.servers.custom import UNKNOWN_REFUSAL
from lab.servers.software import Blueprint, File, Operation, Refusal, Rendered, ScramKeys
from lab.topology.spec import Unlinked


class External:
    """`software: external`."""

    name = "external"
    versions: tuple[str, ...] = ("",)
    memory = 0
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

    def render(self, blueprint: Blueprint) -> Rendered:
        """Nothing to write and nothing to start: an empty command."""
        return Rendered((), ())

    def build(self, prefix: str, libraries: str, source: str, target: str) -> tuple[str, ...] | None:
        """No modules."""
        return None

    def accounts(self, domain: str, users: Sequence[str], keys: ScramKeys) -> tuple[Operation, ...]:
        """Accounts are the person's own affair."""
        return ()

    def initial_accounts(self, domain: str, users: Sequence[str], keys: ScramKeys) -> tuple[File, ...]:
        """Accounts are the person's own affair."""
        return ()

    def flush(self) -> tuple[Operation, ...]:
        """Its files are not the lab's to read."""
        return ()

    def refusal(self, version: str, kind: Unlinked) -> Refusal:
        """Any error will do."""
        return UNKNOWN_REFUSAL

    def startup_hint(self, log: Sequence[str]) -> str | None:
        """It is not started here."""
        return None

    @property
    def places(self) -> dict[str, tuple[str, ...]]:
        """Nothing of it can be searched."""
        return {}


EXTERNAL = External()
