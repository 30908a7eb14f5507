"""The lab of the live tests of engines: one for each module."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from lab.lifecycle import up as labs
from lab.lifecycle.lab import Lab
from lab.topology.spec import Link, Topology
from tests.runtime.helpers import pair


@pytest.fixture(scope="module")
async def lab() -> AsyncIterator[Lab]:
    """Two servers with a direct link."""
    topology: Topology = replace(pair("prosody", "ejabberd"), links=(Link("a", "b", direct=True),))
    lab = await labs.up(topology, runtime="processes", owned=True)
    try:
        yield lab
    finally:
        await lab.down()
