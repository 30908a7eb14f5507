"""The demonstration: two scenarios, then a short load, on one lab of its own. `xmpplab demo` and `make demo` run it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from lab.errors import NotReady
from lab.lifecycle.lab import Lab
from lab.load.analysis.thresholds import judge_load
from lab.load.coordinator.provisioning import list_load_users
from lab.load.load_execution import OnResult, Progress, run_load_on, temporary_lab
from lab.load.load_request import LoadRequest
from lab.runner.batch import BatchCallbacks, BatchResult, run_on
from lab.runner.folders import PAGE
from lab.runner.scenarios import load as load_scenarios
from lab.topology.files import load as load_topology
from lab.topology.spec import Topology

#: Every user writes to every other; first contact with encryption across servers.
SCENARIOS = ("everyone_writes", "omemo_first_contact")
#: A load that any machine can carry, so that the page shows the federation and not the limit of the machine.
USERS, RATE, LENGTH, WARMUP = 20, "50/s", "10s", "1s"


@dataclass(frozen=True)
class DemoCallbacks:
    """What the demonstration calls while it runs."""

    batch: BatchCallbacks  # for the scenarios
    load_progress: Callable[[], AbstractContextManager[Progress]]  # for the seconds of the load
    on_load: OnResult  # with the result of the load


async def demonstrate(
    source: str, runtime: str, runs: Path, callbacks: DemoCallbacks
) -> tuple[list[BatchResult], Path | None]:
    """Run all of it on a lab of the topology `source`; the results, and the page of the load if there was one.

    Raises UserError before anything is started, MissingError, PeerError.
    """
    topology = list_load_users(load_topology(source), USERS)
    request = load_request(source, topology, runtime, runs)
    progress, started = callbacks.batch.progress, time.monotonic()
    try:
        async with temporary_lab(topology, runtime, progress) as lab:
            progress(f"{topology.name} is up ({lab.runtime.name}) after {time.monotonic() - started:.1f} s")
            infos = [info for name in SCENARIOS for info in load_scenarios(name)]
            results = [await run_on(lab, info, callbacks.batch, runs=runs) for info in infos]
            result, page = await _run_load(lab, request, callbacks)
            return [*results, result], page
    except NotReady as error:
        code = callbacks.batch.on_error(NotReady(f"{topology.name} was never ready: {error}"))
        return [BatchResult("demo", topology.name, "never ready", code, time.monotonic() - started, None)], None


def load_request(source: str, topology: Topology, runtime: str, runs: Path) -> LoadRequest:
    """The load: over links if there is one between servers with users. Raises UserError if no server can have users."""
    with_users = {server.name for server in topology.servers if server.hosts_users}
    linked = any({link.a, link.b} <= with_users for link in topology.links)
    return LoadRequest.parse(
        test="neighbours" if linked else "local", topology=source, users=USERS, rate=RATE, length=LENGTH,
        warmup=WARMUP, workers=1, arrivals=None, body=None, seed=0, pin=False, bounds=None, find_limit=None,
        runtime=runtime, lab=None, runs=runs,
    )  # fmt: skip


async def _run_load(lab: Lab, request: LoadRequest, callbacks: DemoCallbacks) -> tuple[BatchResult, Path]:
    """The load on the lab as it is: its servers report stanzas, which the scenarios need; the load's report says so."""
    topology = lab.plan.topology.name
    callbacks.batch.progress(f"running a load on {topology}: {request.test.name}, {USERS} users, {RATE} for {LENGTH}")
    started = time.monotonic()
    with callbacks.load_progress() as progress:
        record = await run_load_on(request, lab, progress, callbacks.on_load)
    verdict, took = judge_load(record), time.monotonic() - started
    result = BatchResult(f"load {request.test.name}", topology, verdict.value, verdict.exit_code, took, record.folder)
    return result, record.folder / PAGE
