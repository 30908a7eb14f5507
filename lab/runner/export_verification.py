"""Runs an exported server in a lab: with its own files, between the other servers of the topology, and judged.

Its configuration is the exported text. A lab replaces addresses, certificates and the DNS server in it, which
`render_diff` shows, loads its own modules beside it (feed, probe, policy), and gives it accounts.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lab.lifecycle.lab import Lab
from lab.lifecycle.up import up
from lab.runner.batch import BatchCallbacks, BatchResult, run_on
from lab.runner.scenarios import load as load_scenarios
from lab.topology.spec import Feed, Link, Server, Topology

#: What an exported server has to pass: it delivers and refuses, encrypts, is closed, obeys its owner, and comes late.
SCENARIOS = ("everyone_writes", "omemo_first_contact", "owner_decides", "own_network", "server_joins")


@dataclass(frozen=True)
class ExportedServer:
    """A server of a topology, and the configuration that was exported for it."""

    spec: Server  # with the domain that it was exported for
    path: str  # of the configuration, as a person knows it
    text: str


def put_server(topology: Topology, exported: ExportedServer) -> Topology:
    """The topology with the exported server in the place of the one it comes from, and first in everything."""
    name, links = exported.spec.name, [_lead(link, exported.spec.name) for link in topology.links]
    server = replace(
        exported.spec, configuration=exported.text, users=max(1, exported.spec.users), feed=Feed.FULL
    )  # fmt: skip
    others = (one for one in topology.servers if one.name != name)
    ordered = sorted(links, key=lambda link: name not in link.pair)
    return replace(topology, servers=(server, *others), links=tuple(ordered), faults=())


def _lead(link: Link, name: str) -> Link:
    """The link with the server of that name in front, if it is at its end."""
    return replace(link, a=link.b, b=link.a, forward=link.backward, backward=link.forward) if link.b == name else link


def render_diff(lab: Lab, exported: ExportedServer) -> str:
    """What the lab replaced in the exported configuration, as a unified diff."""
    files = lab.plan.server(exported.spec.name).files
    text = next(file.text for file in files if file.path.startswith("exported."))
    before, after = exported.text.splitlines(), text.splitlines()
    return "\n".join(difflib.unified_diff(before, after, exported.path, "in the lab", n=0, lineterm=""))


async def verify_export(
    topology: Topology,
    exported: ExportedServer,
    callbacks: BatchCallbacks,
    on_lab: Callable[[Lab], None],
    *,
    runtime: str,
    runs: Path,
    command: str,
) -> Sequence[BatchResult]:
    """Run the exported server in a lab of its own, and the SCENARIOS on it; `on_lab` is called once it is up.

    Raises UserError for a configuration that cannot be run here, NotReady if the server does not start or federate.
    """
    scenarios = [info for name in SCENARIOS for info in load_scenarios(name)]
    lab = await up(put_server(topology, exported), runtime=runtime, owned=True, progress=callbacks.progress)
    try:
        on_lab(lab)
        return [await run_on(lab, info, callbacks, runs=runs, command=command) for info in scenarios]
    finally:
        await lab.down()
