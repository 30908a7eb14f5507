"""Two loads, from their folders: figure by figure, with noise, and whether they are comparable.

They can be compared if they were the same load, both measured to the end by a generator that was not the limit, with at
most one difference between their settings: then that difference is what the comparison is about. With two differences
nobody can say which of them caused a change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from lab.load.analysis import bootstrap
from lab.load.metrics.fault_record import FaultRecord
from lab.load.metrics.result import Result
from lab.load.metrics.run_folder import LoadRecord
from lab.load.model.spec import Load
from lab.plan.model import Plan
from lab.topology.spec import Server, Topology

#: Fields that do not make it another load: its random numbers, and how it is carried out.
_NOT_COMPARED = ("seed", "due_times", "login_rate", "endpoints", "password", "authority")
_DEFAULTS = {one.name: one.default for one in fields(Load) if one.name not in ("endpoints", "password", "authority")}
#: Fields of what every worker was given that a load test's own file may set instead of the job.
_PLAN = ("warmup", "seconds", "tick", "expected")


@dataclass(frozen=True)
class Comparison:
    """Two loads compared. The fields are those of the JSON output; texts are a sentence each."""

    figures: list[dict[str, Any]]  # see `list_changes`
    load: tuple[str, ...]  # differences between the loads
    setting: tuple[str, ...]  # differences between topologies, runtimes, workers, machines
    against: tuple[str, ...]  # reasons why the figures cannot be compared; () if they can
    remarks: tuple[str, ...]

    @property
    def comparable(self) -> bool:
        """Whether a difference of the figures means something."""
        return not self.against


def compare(first: LoadRecord, second: LoadRecord, plans: tuple[Plan, Plan]) -> Comparison:
    """Compare two loads, from their folders and the plans in them."""
    load, setting = _load_differences(first, second), _setting_differences(first, second, plans)
    against = [f"it was not the same load ({'; '.join(load)})"] if load else []
    if len(setting) > 1:
        against.append(f"the settings differ in {len(setting)} ways, and each of them can be the reason for a change")
    for which, record in (("first", first), ("second", second)):
        if not record.measured:
            against.append(f"the {which} measured nothing")
        if record.interrupted:
            against.append(f"the {which} was interrupted: {record.interrupted}")
        if record.limits:
            against.append(f"in the {which} the generator was the limit: {record.limits[0]}")
    changes = list_changes(first.result, second.result, first.faults, second.faults)
    return Comparison(changes, tuple(load), tuple(setting), tuple(against), _remarks(first, second))


def list_figures(result: Result, faults: Sequence[FaultRecord] = ()) -> dict[str, float]:
    """The figures that are compared: delays in ms, shares, rates, CPU seconds per 1000 messages of each server and
    worker.
    """
    total = result.total
    found = {
        "sent": float(total.sent),
        "received per s": result.rate,
        **{f"p{percent} ms": 1000 * total.intended.percentile(percent) for percent in bootstrap.PERCENTS},
        "max ms": 1000 * total.intended.max,
        "lost %": 100 * total.loss,
        "bounced %": 100 * (total.failed - total.loss),
        "duplicates": float(total.duplicates),
        "send lag p99 ms": 1000 * result.lag.percentile(99),
    }
    found |= {f"{name}: CPU s per 1000": spent for name, spent in result.cost().items()}
    for one in faults:
        found |= {
            f"{one.title}: lost": float(one.lost_during + one.lost_after),
            f"{one.title}: bounced": float(one.bounced_during + one.bounced_after),
        }
        if one.recovery is not None:
            found[f"{one.title}: recovery s"] = one.recovery
    return found


def list_changes(
    first: Result, second: Result, faults: Sequence[FaultRecord] = (), others: Sequence[FaultRecord] = ()
) -> list[dict[str, Any]]:
    """A row for each figure: its value in the first load and in the second, the change in percent (None from 0).

    `low_percent` and `high_percent` are the 95 % interval of the change, `beyond_noise` says whether 0 lies outside it;
    None where the noise is not known.
    """
    a, b = list_figures(first, faults), list_figures(second, others)
    intervals = bootstrap.compute_change_intervals(first, second)
    found = []
    for name in dict.fromkeys((*a, *b)):
        low, high = intervals.get(name, (None, None))
        row = {
            "figure": name,
            "first": _rounded(a.get(name)),
            "second": _rounded(b.get(name)),
            "change_percent": round(100 * (b[name] / a[name] - 1), 1) if a.get(name) and name in b else None,
            "low_percent": None if low is None else round(low, 1),
            "high_percent": None if high is None else round(high, 1),
            "beyond_noise": None if low is None or high is None else not low <= 0 <= high,
        }
        found.append(row)
    return found


def _load_differences(first: LoadRecord, second: LoadRecord) -> list[str]:
    """What makes it not the same load, a phrase each."""
    said = ["another load test"] if first.job.name != second.job.name and _traffic(first) != _traffic(second) else []
    a, b = ({**_DEFAULTS, **record.job.load} for record in (first, second))
    for name in sorted(_DEFAULTS):
        if name not in _NOT_COMPARED and a[name] != b[name]:
            said.append(f"{name}: {a[name]} and {b[name]}")
    a_faults, b_faults = (sorted({one.name for one in record.faults}) for record in (first, second))
    if a_faults != b_faults:
        said.append(f"faults: {', '.join(a_faults) or 'none'} and {', '.join(b_faults) or 'none'}")
    named = {text.partition(":")[0] for text in said}
    for name in _PLAN:
        a_plan, b_plan = (record.result.plan.get(name) for record in (first, second))
        if a_plan != b_plan and not named and None not in (a_plan, b_plan):
            said.append(f"{name}: {a_plan:g} and {b_plan:g}")
    return said


def _traffic(record: LoadRecord) -> object:
    return record.job.load.get("traffic", record.job.name)


def _setting_differences(first: LoadRecord, second: LoadRecord, plans: tuple[Plan, Plan]) -> list[str]:
    """What else differs, a phrase each."""
    said = []
    one, other = (plan.topology for plan in plans)
    if _graph(one) != _graph(other):
        names = f"{one.name} and {other.name}" if one.name != other.name else "the same name, but not equal"
        said.append(f"topology: {names}")
    elif _software(one) != _software(other):
        said.append(f"software: {_kinds(one)} and {_kinds(other)}")
    if plans[0].facts.runtime != plans[1].facts.runtime:
        said.append(f"runtime: {plans[0].facts.runtime} and {plans[1].facts.runtime}")
    if first.job.pin != second.job.pin:
        said.append("one of them had its own cores (--pin)")
    workers = [record.result.plan.get("workers", record.job.workers) for record in (first, second)]
    if workers[0] != workers[1]:
        said.append(f"workers: {workers[0]} and {workers[1]}")
    for name in sorted({*first.machine} | {*second.machine}):
        a, b = (record.machine.get(name, "not known") for record in (first, second))
        if a != b:
            said.append(f"{_MACHINE.get(name, name)}: {a} and {b}")
    return said


_MACHINE = {"cores": "cores of the machine", "processor": "processor", "lab": "version of the lab"}


def _graph(topology: Topology) -> object:
    return (tuple(server.name for server in topology.servers), topology.links)


def _software(topology: Topology) -> Mapping[str, str]:
    return {server.name: _kind(server) for server in topology.servers}


def _kinds(topology: Topology) -> str:
    return "+".join(sorted({_kind(server) for server in topology.servers}))


def _kind(server: Server) -> str:
    return f"{server.software_name} {server.version}".strip()


def _remarks(first: LoadRecord, second: LoadRecord) -> tuple[str, ...]:
    seeds = [record.job.load.get("seed", 0) for record in (first, second)]
    said = (
        [f"seeds differ ({seeds[0]} and {seeds[1]}): other pairs of users, the same load"] if len({*seeds}) > 1 else []
    )
    if not bootstrap.split_segments(first.result) or not bootstrap.split_segments(second.result):
        said.append(f"noise is not known: it needs {bootstrap.MIN_SECONDS} whole seconds of steady state in both")
    else:
        said.append("noise is what varies within these runs; repeated runs show how much runs vary (xmpplab study)")
    return tuple(said)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
