"""A server that the person runs themselves, in a debugger for instance. The lab only gives its address to the others.

Its certificate is made like any other's and lies in its folder; nothing is rendered, started or observed.
"""

from __future__ import annotations

from collections.abc import Sequence

from lab.servers.software import Blueprint, File, Operation, Rendered, ScramKeys
from lab.servers.unknown import UnknownSoftware


class External(UnknownSoftware):
    """`software: external`."""

    name = "external"

    def render(self, blueprint: Blueprint) -> Rendered:
        """Nothing to write and nothing to start: an empty command."""
        return Rendered((), ())

    def accounts(self, domain: str, users: Sequence[str], keys: ScramKeys) -> tuple[Operation, ...]:
        """Accounts are the person's own affair."""
        return ()

    def initial_accounts(self, domain: str, users: Sequence[str], keys: ScramKeys) -> tuple[File, ...]:
        """Accounts are the person's own affair."""
        return ()

    def startup_hint(self, log: Sequence[str]) -> str | None:
        """It is not started here."""
        return None

    @property
    def places(self) -> dict[str, tuple[str, ...]]:
        """Nothing of it can be searched."""
        return {}


SOFTWARE = External()
