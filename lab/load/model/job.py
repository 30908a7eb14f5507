"""A load to carry out, as one JSON object: the input of `python -m lab.load`, and load.json of a run's folder.

    {"version": 1,
     "lab": "pair-1a2b3c",                    the name of a lab that is up
     "load": {"users": 500, "seconds": 60.0, "arrivals": "constant:1000/s", ...},
     "workers": 2,                            worker processes
     "folder": "/home/me/runs/…",             where the run is written, or null
     "pin": false,                            whether servers and workers get processor cores of their own
     "part": {"index": 0, "of": 1},           this coordinator's part of a load that several coordinators carry out
     "hold": false,                           whether to wait for {"go": …} when all users are online
     "name": "federation",                    the name of the load, for its report
     "bounds": {"p99": 0.2, "loss": 0.0},     what must hold (lab.load.analysis.thresholds), for its report
     "page": true}                            whether the HTML page is written too, which takes 1.5 s

"load" has fields of `lab.load.model.spec.Load`; a field that is left out has its default there. Endpoints, password and
authority come from the lab and are never in a job: a job contains no secret. Only "lab" and "load" are required.

With several coordinators the workers are numbered through: worker w of the coordinator with part k has the shard
k × workers + w of `of` × workers. All coordinators must have the same number of workers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import UserError
from lab.input_files import Steps, decode_json, read_text
from lab.load.model.spec import Load, Shard

if TYPE_CHECKING:
    from lab.load.model.job_file import JobFile

VERSION = 1

#: The environment variable in which `xmpplab load` gives Locust the path of the job, and the file name in a run folder.
VARIABLE = "XMPPLAB_LOAD"
FILE = "load.json"

#: Names of bounds (lab.load.analysis.thresholds).
DELAYS = ("p50", "p90", "p95", "p99", "p99.9", "max")
SHARES = ("loss", "bounced", "failed", "duplicates")

#: Fields of a load that the lab gives.
_LABS_OWN = {"endpoints", "password", "authority", "libraries"}
#: Fields of a load that a job may have, with their types.
LOAD_FIELDS = {one.name: str(one.type) for one in fields(Load) if one.name not in _LABS_OWN}
_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}


@dataclass(frozen=True)
class Job:
    """See the module."""

    lab: str
    load: Mapping[str, Any] = field(default_factory=dict)
    workers: int = 1
    folder: Path | None = None
    pin: bool = False
    shard: Shard = field(default_factory=Shard)
    hold: bool = False
    name: str = ""
    bounds: Mapping[str, float] = field(default_factory=dict)
    page: bool = True

    def __post_init__(self) -> None:
        """Raises UserError."""
        if self.workers < 1:
            raise UserError(f"a load needs at least one worker, not {self.workers}")
        if not 0 <= self.shard.index < self.shard.of:
            raise UserError(f"part {self.shard.index} of {self.shard.of}: parts are counted from 0")
        for name, value in self.load.items():
            _check(name, value)
        for name in self.bounds:
            _check_bound(name)

    def list_shards(self) -> list[Shard]:
        """The shards of this coordinator's workers."""
        first, of = self.shard.index * self.workers, self.shard.of * self.workers
        return [Shard(first + number, of) for number in range(self.workers)]

    def encode(self) -> str:
        """As one line of JSON."""
        data = asdict(self)
        data["part"] = data.pop("shard")  # the name that files of jobs have
        folder = None if self.folder is None else str(self.folder)
        return json.dumps(
            {"version": VERSION, **data, "load": dict(self.load), "bounds": dict(self.bounds), "folder": folder}
        )

    @classmethod
    def decode(cls, text: str) -> Job:
        """The inverse. Raises UserError that says what is wrong."""
        try:
            data: dict[str, Any] = json.loads(text)
            version = data.pop("version", VERSION)
            folder, part = data.pop("folder", None), data.pop("part", {})
            job = cls(**data, folder=None if folder is None else Path(folder), shard=Shard(**part))
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"a job is one JSON object with lab and load: {error}") from error
        if version != VERSION:
            raise UserError(f"a job of version {version!r}; this lab reads version {VERSION}")
        return job


def read_job(path: Path) -> Job:
    """The job of a file. Raises UserError with file and line if it is damaged, FileNotFoundError without a file."""
    from lab.load.model.job_file import JobFile

    text = read_text(path, "a load")
    decode_json(text, JobFile, str(path), version=VERSION, check=_wrong_field)
    return Job.decode(text)


def _wrong_field(job: JobFile) -> tuple[Steps, str] | None:
    """Where a job has a value that `Job` refuses, and why."""
    for name, value in job.get("load", {}).items():
        try:
            _check(name, value)
        except UserError as error:
            return ("load", name), str(error)
    for name in job.get("bounds", {}):
        try:
            _check_bound(name)
        except UserError as error:
            return ("bounds", name), str(error)
    part = Shard(**job.get("part", {}))
    if not 0 <= part.index < part.of:
        return ("part",), f"part {part.index} of {part.of}: parts are counted from 0"
    return None


def _check(name: str, value: object) -> None:
    if name not in LOAD_FIELDS:
        raise UserError(f"a load has no field {name!r}; there are {', '.join(LOAD_FIELDS)}")
    wanted = _TYPES[LOAD_FIELDS[name]]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise UserError(f"{name} of a load must be {LOAD_FIELDS[name]}, not {value!r}")


def _check_bound(name: str) -> None:
    if name not in (*DELAYS, *SHARES):
        raise UserError(f"a load has no bound {name!r}; there are {', '.join((*DELAYS, *SHARES))}")
