"""A null server of one's own, as a context manager: for tests and benchmarks."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.load.coordinator import provisioning
from lab.load.model.spec import Endpoint, Load
from lab.network.authority import Authority
from lab.plan.model import CertificateRequest
from lab.topology.spec import Certificate
from tests.load.null_server.stream import PASSWORD

ROOT = Path(__file__).resolve().parents[3]
HOST = "127.0.0.1"


@dataclass
class Null:
    """One that runs. `domains` are all served by the one process."""

    process: subprocess.Popen[str]
    host: str
    port: int
    security: str
    authority: str

    def tell(self, order: str) -> None:
        """Give an order without waiting for its answer."""
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()

    def obey(self, order: str) -> str:
        """Give an order; its answer."""
        self.tell(order)
        return self.process.stdout.readline().strip()

    @property
    def cpu(self) -> float:
        """Seconds of CPU the server has used."""
        return float(self.obey("cpu").split()[1])

    @property
    def routed(self) -> int:
        """Messages the server has routed."""
        return int(self.obey("routed").split()[1])

    def load(self, *servers: str, **more: object) -> Load:
        """A load on it, with that many servers, all linked."""
        servers = servers or ("a",)
        endpoints = tuple(
            Endpoint(name, f"{name}.example", self.host, self.port, tuple(s for s in servers if s != name))
            for name in servers
        )
        settings = {"users": 10, "traffic": "local" if len(servers) == 1 else "neighbours", **more}
        return Load(endpoints, password=PASSWORD, authority=self.authority, security=self.security, **settings)

    def rosters(self, load: Load) -> None:
        """Subscribe the load's people to each other, as a lab's servers are told to."""
        self.obey(f"rosters {json.dumps(rosters(load))}")


def rosters(load: Load) -> dict[str, list[str]]:
    """Who is subscribed to whom, by address."""
    found: dict[str, list[str]] = {}
    for of in provisioning.plan_rosters(load).values():
        found |= of
    return found


@contextlib.contextmanager
def null_server(security: str = "none", host: str = HOST, python: str = sys.executable) -> Iterator[Null]:
    """A null server in a process of its own, which ends with the block."""
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, object] = {"host": host, "security": security}
        authority = ""
        if security != "none":
            issuer = Authority.generate("null authority")
            names = tuple(f"{name}.example" for name in "abcdefgh")
            issuer.issue(CertificateRequest(names[0], names, Certificate.VALID), Path(folder))
            for name, end in (("certificate", "crt"), ("key", "key")):
                options[name] = f"{folder}/certs/{names[0]}.{end}"
            authority = issuer.pem.decode()
        process = subprocess.Popen(
            [python, "-m", "tests.load.null_server", json.dumps(options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        try:
            word, port = process.stdout.readline().split()
            assert word == "ready"
            yield Null(process, host, int(port), security, authority)
        finally:
            process.stdin.close()
            process.stdout.close()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
