"""Three federated servers for the tests of devices: two Prosody, one ejabberd, everybody linked."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest_asyncio

from lab.declarations.manifest import PORTS
from lab.lifecycle.lab import Lab
from lab.lifecycle.up import up
from lab.topology.files import load

TOPOLOGY = """
name: devices
defaults: {software: prosody, users: 0}
servers: {a: {}, b: {}, c: {software: ejabberd}}
links:
  - {between: [a, b]}
  - {between: [a, c]}
  - {between: [b, c]}
"""


@dataclass
class RunningLab:
    """Where devices can log in; every account is new."""

    lab: Lab
    numbers: itertools.count = field(default_factory=lambda: itertools.count(1))

    def domain(self, server: str) -> str:
        return self.lab.plan.server(server).spec.domain

    async def accounts(self, *servers: str) -> list[str]:
        """A new account on each of these servers, as bare JIDs."""
        made = []
        for server in servers:
            user = f"person{next(self.numbers)}"
            await self.lab.create_accounts(server, [user])
            made.append(f"{user}@{self.domain(server)}")
        return made

    def login(self, jid: str) -> dict[str, Any]:
        """The fields of `connect` that say where and as whom."""
        domain = jid.partition("@")[2]
        server = next(server for server in self.lab.plan.servers if server.spec.domain == domain)
        return {"jid": jid, "password": self.lab.password, "host": server.address, "port": PORTS.client,
                "authority": self.lab.authority}  # fmt: skip


@pytest_asyncio.fixture(scope="session")
async def running_lab(tmp_path_factory) -> AsyncIterator[RunningLab]:
    file: Path = tmp_path_factory.mktemp("topology") / "devices.yaml"
    file.write_text(TOPOLOGY)
    lab = await up(load(file), runtime="processes", owned=True)
    try:
        yield RunningLab(lab)
    finally:
        await lab.down()
