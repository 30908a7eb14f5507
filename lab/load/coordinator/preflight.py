"""Checks of a load test before a lab is started: a Locust file by name or path, or a traffic for the engine alone.

Errors that can be found before a lab is up are found here; they say what would work.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lab import packaged
from lab.errors import UserError
from lab.load.coordinator.provisioning import check_accounts
from lab.load.kinds import build_draw
from lab.load.model.spec import Endpoint, Load, Shard
from lab.load.workload.arrivals import parse_arrivals
from lab.load.workload.encrypted import check_encryption
from lab.load.workload.machine_limits import check_machine
from lab.load.workload.traffic import FORMS, MIXES, parse_traffic
from lab.topology.spec import Topology

#: Messages per second that a worker can write at most: the highest rate that was measured is 25,000.
MAX_WORKER_RATE = 20_000
#: Up to so many users it is checked whether they have somebody to write to: of more, some have.
_CHECKED_USERS = 200
#: How many higher numbers of users are tried.
_TRIED_NUMBERS = 50
#: Arrivals with no option but a rate, which may be given by `--rate`.
MODELS = ("constant", "poisson")


@dataclass(frozen=True)
class LoadTest:
    """A load test: either a file, which runs in Locust, or a traffic."""

    name: str
    file: Path | None = None


def find_test(text: str) -> LoadTest:
    """The load test for a path, the name of a file that ships, or a traffic. Raises UserError with a similar name."""
    if text.endswith(".py"):
        if not Path(text).is_file():
            raise UserError(f"{text}: there is no such file: give the path of a Locust file")
        return LoadTest(Path(text).stem, Path(text).absolute())
    known = packaged.list_names("loadtests", ".py")
    if (file := packaged.find("loadtests", text, ".py")) is not None:
        return LoadTest(file.stem.replace("_", "-"), file)
    kinds = [form.partition(":")[0] for form in (*FORMS, *MIXES)]
    word = text.partition(":")[0]
    if word in kinds or "*" in text or "+" in text:
        parse_traffic(text)
        return LoadTest(text)
    near = difflib.get_close_matches(word.replace("_", "-"), (*known, *kinds), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}."
    raise UserError(f"no load test {text!r}: {hint} Also a file ending in .py, or a traffic: {', '.join(kinds)}")


def format_arrivals(rate: str | None, model: str | None) -> str | None:
    """`--rate` and `--arrivals` as one text; None if neither is given. Raises UserError."""
    if rate is None:
        if model in MODELS:
            raise UserError(f"--arrivals {model} needs a --rate, such as 100/s")
        text = model
    elif model is None or model in MODELS:
        text = f"{model or MODELS[0]}:{rate}"
    else:
        raise UserError(f"--arrivals {model} already gives the rates: remove --rate, or use one of {', '.join(MODELS)}")
    if text is not None:
        parse_arrivals(text)
    return text


def check_load(topology: Topology, asked: Mapping[str, Any], workers: int) -> None:
    """Check that machine and generator can do it. Raises UserError or MissingError with a number that works."""
    names = [server.name for server in topology.servers if server.hosts_users]
    endpoints = tuple(Endpoint(name, name, name, neighbours=topology.neighbours(name)) for name in names)
    load = Load(endpoints=endpoints, password="", authority="", **asked)  # hosts differ as their addresses will
    if load.users < workers:
        raise UserError(f"{load.users} users for {workers} workers: use at most {max(1, load.users)} workers")
    check_machine(load, Shard(0, workers))
    check_encryption(load, workers)
    check_accounts(topology, load)
    if "traffic" in asked and load.users <= _CHECKED_USERS:
        _check_partners(load, workers)
    cores = len(os.sched_getaffinity(0))
    wanted, most = parse_arrivals(load.arrivals).find_peak(load.seconds), min(workers, cores) * MAX_WORKER_RATE
    if wanted > most:
        needed = -(-int(wanted) // MAX_WORKER_RATE)
        way = f"this machine's {cores} cores write at most {cores * MAX_WORKER_RATE}/s"
        if needed <= cores:
            way = f"take --workers {needed} on as many cores, or at most {most}/s"
        raise UserError(f"{wanted:.0f} messages per second are more than {workers} workers can write ({most}/s): {way}")


def _check_partners(load: Load, workers: int) -> None:
    """Check that each worker's users have somebody to write to; the engine would say so when the lab is up already."""
    reason = _missing_partner(load, workers)
    if reason is None:
        return
    for more in range(load.users + 1, load.users + _TRIED_NUMBERS):
        if _missing_partner(replace(load, users=more), workers) is None:
            raise UserError(f"{reason}; --users {more} would do")
    raise UserError(reason)


def _missing_partner(load: Load, workers: int) -> str | None:
    try:
        for number in range(workers):
            build_draw(parse_traffic(load.traffic), load, Shard(number, workers), load.seed)
    except UserError as error:
        return str(error)
    return None
