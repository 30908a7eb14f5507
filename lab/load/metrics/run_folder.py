"""The folder of a load's run: the job, its events, its result. Only the owner can read it.

load.json       the job (lab.load.model.job)
samples.jsonl   every event, written while the load runs
result.json     {"version", fields of LoadOutcome, "result": lab.load.metrics.result, "limits": [...], "remarks": [...]}
routes.csv      a row for each route of the steady state; intervals.csv a row for each second
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from lab.errors import UserError, naming
from lab.input_files import read_json
from lab.load.metrics.fault_record import FaultRecord
from lab.load.metrics.resources import describe_machine
from lab.load.metrics.result import Result, Usage, find_generator_limits
from lab.load.metrics.rows import list_routes, list_seconds, to_csv
from lab.load.model.job import FILE, Job, read_job
from lab.runner.folders import write

SAMPLES, RESULT, ROUTES, INTERVALS = "samples.jsonl", "result.json", "routes.csv", "intervals.csv"
VERSION = 1


@dataclass
class LoadOutcome:
    """What the coordinator found out about a load that has ended."""

    result: Result
    interrupted: str = ""  # why it ended early
    drained: bool = False  # nothing was outstanding at its end
    settled: bool = False  # it is known which messages were lost
    whole: bool = False  # every worker of this coordinator has reported all that it sent and received
    missing: Sequence[Mapping[str, Any]] = ()  # the first of the lost messages
    gone: Sequence[tuple[str, str]] = ()  # users who could not reconnect, and why
    generators: Mapping[str, list[Usage]] = field(default_factory=dict)


class RunWriter:
    """Writes the folder while the load runs. A context manager; does nothing for a job without a folder."""

    def __init__(self, job: Job) -> None:
        self._folder, self._job = job.folder, job
        self._samples: IO[str] | None = None
        self._remarks: list[str] = []
        self._start: float | None = None  # of the warm-up, in seconds since the epoch

    def __enter__(self) -> RunWriter:
        """Open samples.jsonl in the folder, which must exist, and write load.json unless it exists."""
        if self._folder is not None:
            if not (self._folder / FILE).exists():
                write(self._folder / FILE, self._job.encode() + "\n")
            path = self._folder / SAMPLES
            self._samples = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")
        return self

    def __exit__(self, *_: object) -> None:
        if self._samples is not None:
            self._samples.close()

    def write_event(self, line: str, event: dict[str, Any]) -> None:
        """Append an event; `line` is its JSON."""
        if event["event"] == "note":
            self._remarks.append(event["text"])
        elif event["event"] == "started" and self._start is None:
            self._start = event["at"]
        if self._samples is not None and self._folder is not None:
            with naming(self._folder / SAMPLES):
                self._samples.write(line + "\n")
                self._samples.flush()

    def finish(self, outcome: LoadOutcome) -> dict[str, Any]:
        """Write result.json and the tables; returns the "result" event."""
        result = outcome.result
        unaccounted = result.unaccounted()
        data = {
            "version": VERSION,
            "interrupted": outcome.interrupted,
            "drained": outcome.drained,
            "settled": outcome.settled and not unaccounted,
            "unaccounted": unaccounted,
            "whole": outcome.whole,
            "missing": list(outcome.missing),
            "gone": [{"user": user, "reason": reason} for user, reason in outcome.gone],
            "generators": {name: [one.encode() for one in readings] for name, readings in outcome.generators.items()},
            "limits": list(find_generator_limits(result)) if result.plan else [],
            "remarks": self._remarks,
            "machine": describe_machine(),
            "result": result.to_json(),
        }
        if self._folder is not None:
            write(self._folder / RESULT, json.dumps(data) + "\n")
            write(self._folder / ROUTES, to_csv(list_routes(result)))
            write(self._folder / INTERVALS, to_csv(list_seconds(result, self._start)))
        return {"event": "result", **data}


@dataclass(frozen=True)
class LoadRecord:
    """The folder of a load that has ended, as it was read."""

    folder: Path
    job: Job
    result: Result
    interrupted: str
    settled: bool
    unaccounted: dict[str, int]  # by route: receipts that are in no count, see Result.unaccounted
    missing: tuple[dict[str, Any], ...]
    gone: tuple[dict[str, str], ...]
    generators: dict[str, list[Usage]]
    limits: tuple[str, ...]
    remarks: tuple[str, ...]
    machine: dict[str, Any]  # see lab.load.metrics.resources.describe_machine
    faults: tuple[FaultRecord, ...] = ()  # in the order in which they were applied

    @property
    def warmup(self) -> float:
        """Length of the warm-up in seconds."""
        return float(self.result.plan.get("warmup", 0.0))

    @property
    def measured(self) -> bool:
        """Whether there is a figure to judge: the steady state was reached and a message was received."""
        return bool(self.result.length and self.result.total.received)


def read(folder: Path) -> LoadRecord:
    """Read a folder. Raises UserError if it is no load's, or its load has not ended."""
    from lab.load.metrics.result_file import ResultFile, contradiction

    path = folder / RESULT
    try:
        job = read_job(folder / FILE)
        data = read_json(path, ResultFile, "the result of a load", VERSION, contradiction)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{folder}: not the folder of a load that has ended: it has no {error.filename}") from error
    return LoadRecord(
        folder,
        job,
        Result.from_json(data["result"]),
        data["interrupted"],
        data["settled"],
        data["unaccounted"],
        tuple(data["missing"]),
        tuple({"user": one["user"], "reason": one["reason"]} for one in data["gone"]),
        {name: [Usage.decode(one) for one in readings] for name, readings in data["generators"].items()},
        tuple(data["limits"]),
        tuple(data["remarks"]),
        data.get("machine", {}),
        tuple(FaultRecord.from_json(one) for one in data.get("faults", [])),
    )


def add_faults(folder: Path, faults: Sequence[FaultRecord]) -> None:
    """Add what declared faults did to result.json, which was written before all of them were healed."""
    data = json.loads((folder / RESULT).read_text())
    write(folder / RESULT, json.dumps({**data, "faults": [one.to_json() for one in faults]}) + "\n")
