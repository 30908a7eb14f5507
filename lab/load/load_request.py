"""What `xmpplab load` and `xmpplab study` ask for: read and checked as far as possible without a lab."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lab.declarations.manifest import Accounts
from lab.declarations.servers import INSTALLED, get_manifest
from lab.declarations.units import parse_duration
from lab.errors import UserError
from lab.load.analysis.thresholds import DEFAULT, parse_bounds
from lab.load.capacity.search import parse_trial_arrivals, search_bounds
from lab.load.capacity.trials import check as check_search
from lab.load.coordinator import preflight
from lab.load.coordinator.provisioning import adapt_topology
from lab.load.metrics.cpu import split_cores
from lab.runner import folders
from lab.topology.build import LISTED_USERS
from lab.topology.faults import refuse_people
from lab.topology.files import load as load_topology
from lab.topology.files import load_custom, load_faults
from lab.topology.software import parse as parse_software
from lab.topology.spec import FaultSpec, Topology


@dataclass(frozen=True)
class LoadRequest:
    """A load, and where it runs: on a lab of its own with `topology`, or on the lab with the name `lab`."""

    test: preflight.LoadTest
    topology: Topology | None
    load: Mapping[str, Any]  # fields of lab.load.model.spec.Load, as in a job
    rate: str | None  # for Locust, whose file knows the model of arrivals
    workers: int  # processes
    pin: bool
    bounds: Mapping[str, float]  # delays in seconds, losses as shares
    find_limit: str | None  # the bounds of a search for the highest rate
    runtime: str
    lab: str | None
    runs: Path
    faults: tuple[FaultSpec, ...] | None = None  # declared ones, instead of those of the topology

    @property
    def encryption(self) -> str:
        """What its messages are encrypted with."""
        return str(self.load.get("encryption") or "plain")

    @classmethod
    def parse(
        cls, *, test: str, topology: str | None, users: int, rate: str | None, length: str, warmup: str, workers: int,
        arrivals: str | None, body: int | None, seed: int, pin: bool, bounds: str | None, find_limit: str | None,
        runtime: str, lab: str | None, runs: Path, software: str | None = None, security: str = "starttls",
        faults: str | Path | None = None, encryption: str | None = None,
    ) -> LoadRequest:  # fmt: skip
        """Read the options of `xmpplab load`, under their names: `length` is --for.

        `users` is the number of users, `workers` the number of processes, `body` the size in bytes; durations and rates
        are texts with a unit. Raises UserError for wrong options, MissingError if this machine lacks something.
        """
        if (topology is None) == (lab is None):
            raise UserError("give -t TOPOLOGY to start a lab for the load, or --name LAB to use one that is up")
        found = preflight.find_test(test)
        load: dict[str, Any] = {
            "users": users,
            "seconds": parse_duration(length),
            "warmup": parse_duration(warmup),
            "seed": seed,
        }
        load |= {} if found.file is not None else {"traffic": found.name}
        load |= {} if body is None else {"body": body}
        load |= {} if encryption is None else {"encryption": encryption}
        load |= {} if security == "starttls" else {"security": security}
        written = preflight.format_arrivals(rate, arrivals)
        only_rate = found.file is not None and arrivals is None
        if written is not None and not only_rate:
            load["arrivals"] = written
        asked = _with_software(load_topology(topology), software) if topology is not None else None
        declared = None if faults is None else load_faults(faults, [asked] if asked is not None else [])
        where = _with_faults(asked, declared, users, find_limit) if asked is not None else None
        if declared and find_limit is not None:
            raise UserError("--find-limit searches what servers can carry unbroken: remove the faults")
        if pin:
            split_cores(workers)
        if find_limit is not None:
            if bounds is not None:
                raise UserError("--find-limit already gives the bounds: remove --bounds")
            within = search_bounds(find_limit, parse_trial_arrivals(written)[1])
            if where is not None:
                check_search(where, within, str(load.get("traffic", "")))
        folders.check(runs)
        request = cls(
            found, where, load, rate if only_rate else None, workers, pin,
            parse_bounds(bounds or DEFAULT), find_limit, runtime, lab, runs, declared,
        )  # fmt: skip
        if where is not None:
            request.check(where)
        return request

    def check(self, topology: Topology) -> None:
        """Check that the load is possible with these servers, before accounts are made. Raises UserError,
        MissingError.
        """
        arrivals = {} if self.rate is None else {"arrivals": preflight.format_arrivals(self.rate, None)}
        preflight.check_load(topology, {**self.load, **arrivals}, self.workers)
        if self.find_limit is None:  # the trials of a search have none
            _check_times(topology.faults if self.faults is None else self.faults, self.load["seconds"])


def _with_faults(
    topology: Topology, declared: tuple[FaultSpec, ...] | None, users: int, find_limit: str | None
) -> Topology:
    """The topology for a load of so many users, with these faults instead of its own. Raises UserError."""
    asked = topology if declared is None else replace(topology, faults=declared)
    if asked.faults and find_limit is not None:
        raise UserError("--find-limit searches what servers can carry unbroken: remove the faults")
    return adapt_topology(asked, users)


def _check_times(faults: Sequence[FaultSpec], seconds: float) -> None:
    """Check that each fault can act in a load, and begins before its steady state ends. Raises UserError."""
    refuse_people(faults, "those of a load are its users, which no fault can name")
    for one in faults:
        if one.at >= seconds:
            raise UserError(
                f"fault {one.name}: begins at {one.at:g}s, and the steady state has {seconds:g}s: give a longer --for"
            )


def _with_software(topology: Topology, software: str | None) -> Topology:
    """The topology with that software on every server where the lab makes accounts. Raises UserError."""
    if software is None:
        return topology
    chosen = parse_software(software)
    if get_manifest(chosen.software).accounts is Accounts.NONE:
        raise UserError(f"--software {software}: a load needs accounts; use one of {', '.join(INSTALLED)}, ./mine.yaml")
    custom = load_custom(Path(chosen.file)) if chosen.file is not None else None
    users = LISTED_USERS if get_manifest(chosen.software).accounts is Accounts.LISTED else 0
    servers = (
        replace(one, software=chosen.software, version=chosen.version, custom=custom, users=max(one.users, users))
        if one.manifest.accounts is Accounts.CREATED
        else one
        for one in topology.servers
    )
    return replace(topology, servers=tuple(servers))
