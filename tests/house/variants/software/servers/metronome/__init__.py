"""Metronome."""

from __future__ import annotations

from collections.abc import Sequence

from lab.servers.software import Blueprint, File, Operation, Refusal, Rendered, ScramKeys, Software, WriteFiles
from lab.topology.spec import Unlinked


class Metronome(Software):
    """`software: metronome`."""

    name = "metronome"

    def render(self, blueprint: Blueprint) -> Rendered:
        """Its configuration."""
        return Rendered((File("metronome.cfg.lua", f"-- {blueprint.spec.domain}\n"),), ("metronome",))

    def accounts(self, domain: str, users: Sequence[str], keys: ScramKeys) -> tuple[Operation, ...]:
        """Files."""
        return (WriteFiles(self.initial_accounts(domain, users, keys)),)

    def initial_accounts(self, domain: str, users: Sequence[str], keys: ScramKeys) -> tuple[File, ...]:
        """Files."""
        return tuple(File(f"data/{user}", "") for user in users)

    def refusal(self, version: str, kind: Unlinked) -> Refusal:
        """Alike for all kinds."""
        return Refusal(("remote-server-not-found",), 10.0)

    @property
    def places(self) -> dict[str, tuple[str, ...]]:
        """Its log."""
        return {"log": ("*.log",)}


SOFTWARE = Metronome()
