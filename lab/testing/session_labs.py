"""The labs of one pytest session: one for each topology, started when first asked for, ended with the session."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lab.lifecycle.lab import Lab
    from lab.topology.spec import FaultSpec, Topology

DEFAULT_TOPOLOGY = "pair"


class SessionLabs:
    """A lab for each topology. Tests share it; each has people of its own."""

    def __init__(self, runtime: str, faults: str | None = None) -> None:
        """`runtime` is "auto", "containers" or "processes", `faults` a file of declared faults."""
        self._runtime, self._faults = runtime, faults
        self._topologies: dict[str, Topology] = {}
        self._labs: dict[str, Lab] = {}

    async def get(self, source: str) -> Lab:
        """A lab for a topology (a name, a file or a shape): one that is up with an equal plan, else a new one.

        Raises UserError for a topology that cannot be read, MissingError if this machine lacks something, NotReady.
        """
        from lab.lifecycle.registry import find  # the plugin is loaded in every session, also without any lab
        from lab.lifecycle.up import up
        from lab.topology.files import load, load_faults

        if source not in self._labs:
            topology = load(source)
            if self._faults is not None:
                topology = replace(topology, faults=load_faults(self._faults, [topology]))
            self._topologies[source] = topology
            found = await find(topology, self._runtime)
            self._labs[source] = found or await up(topology, runtime=self._runtime, owned=True, progress=_progress)
        return self._labs[source]

    def get_name(self, source: str) -> str:
        """The name of a topology; of one that could not be read, what was asked for."""
        return self._topologies[source].name if source in self._topologies else source

    def faults(self, source: str) -> tuple[FaultSpec, ...]:
        """The declared faults of a topology whose lab was asked for."""
        return self._topologies[source].faults

    async def close(self) -> None:
        """End the labs that this session started; those that were up before stay."""
        while self._labs:
            _, lab = self._labs.popitem()
            if lab.owned:
                await lab.down()


_LABS = pytest.StashKey[SessionLabs]()


def get_labs(config: pytest.Config) -> SessionLabs:
    """The labs of the session with this configuration."""
    if _LABS not in config.stash:
        config.stash[_LABS] = SessionLabs(config.getoption("--xmpplab-runtime"), config.getoption("--xmpplab-faults"))
    return config.stash[_LABS]


def close_labs_of(config: pytest.Config) -> None:
    """End the labs of the session with this configuration, if it has any."""
    if (labs := config.stash.get(_LABS, None)) is not None:
        asyncio.run(labs.close())


def list_topologies(config: pytest.Config, marker: pytest.Mark | None) -> list[str]:
    """The topologies that a test runs on: its marker's, else the command line's, else the default."""
    named = marker.args if marker else ()
    return [str(one) for one in named or config.getoption("--xmpplab-topology") or [DEFAULT_TOPOLOGY]]


def _progress(text: str) -> None:
    print(f"xmpplab: {text}", file=sys.stderr)  # pytest shows it with a failure
