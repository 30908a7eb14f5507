"""What single parts of a lab cost in CPU: a search for canaries, answers of the lab's DNS, certificates.

python benchmarks/parts.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _load import Aims

from lab.history.canaries import find_all
from lab.network.authority import Authority
from lab.plan.build import build
from lab.plan.model import CertificateRequest, RuntimeFacts
from lab.plan.zones import Zones
from lab.topology.files import load
from lab.topology.spec import Certificate


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def search() -> float:
    """12 MB that look like base64 all over, searched for 200 canaries."""
    data = b"<message><body>" + b"aGVsbG8gd29ybGQ0123456789abcdef" * 400_000
    wanted = [f"canary-{number:024x}" for number in range(200)]
    return cpu(lambda: find_all(wanted, data))


def answers() -> float:
    """5000 answers for a full mesh of a hundred servers."""
    plan = build(load("full-mesh:100"), RuntimeFacts("processes", "127.99.0.0/16", "/nowhere/{server}"))
    zones, servers = Zones(plan), [server.spec for server in plan.servers]

    def ask() -> None:
        for number in range(5000):
            zones.answer(servers[number % 100].name, f"_xmpp-server._tcp.{servers[number % 97].domain}", "SRV")

    return cpu(ask)


def certificates() -> float:
    """A hundred certificates."""
    authority = Authority.generate("benchmark")
    with tempfile.TemporaryDirectory() as name:

        def issue() -> None:
            for number in range(100):
                domain = f"s{number}.test"
                request = CertificateRequest(f"s{number}", (domain,), Certificate.VALID)
                authority.issue(request, Path(name) / domain)

        return cpu(issue)


def main() -> int:
    """Print each figure beside its aim."""
    aims = Aims()
    aims.at_most("CPU s for 200 canaries in 12 MB", search(), 2.0)
    aims.at_most("CPU s for 5000 DNS answers", answers(), 0.5)
    aims.at_most("CPU s for 100 certificates", certificates(), 1.0)
    return int(aims.missed > 0)


if __name__ == "__main__":
    sys.exit(main())
