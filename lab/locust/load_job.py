"""The load job of a Locust process: made of the file's user class, the options and the job of `xmpplab load`.

Each value is taken from the first of these that gives it: the job that `xmpplab load` names in XMPPLAB_LOAD, an option
of Locust's command line (or field of its page), the attribute of the `XmppUser`, the engine's default. The number of
users is Locust's `-u`, the length of the steady state its `-t`, logins per second its `-r`.
"""

from __future__ import annotations

import difflib
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.errors import UserError
from lab.load.coordinator import preflight
from lab.load.model.job import Job
from lab.load.model.spec import Load
from lab.load.workload.traffic import parse_traffic
from lab.locust.options import plan_of, read_job, read_options
from lab.locust.user import ENDLESS, XmppUser, sleep_idle
from lab.plan import files
from lab.runner import folders
from lab.runtime.lab_record import select_record

#: Logins per second without `-r`: Locust's own default of 1 is meant for browsers. Locust warns above 100.
LOGIN_RATE = 100.0
#: Seconds of an endless load that are checked before it starts.
CHECKED_SECONDS = 60.0


def make_job(user: type[XmppUser], options: Namespace, users: int) -> Job:
    """The job for this user class. Raises UserError for values that make no sense, and if no lab is up."""
    given = read_options(options)
    load: dict[str, Any] = {
        "users": user.fixed_count or users,
        "traffic": user.traffic,
        "arrivals": _arrivals(given, user.arrivals),
        "seconds": float(options.run_time or ENDLESS),
        "login_rate": float(options.spawn_rate or LOGIN_RATE),
        **{name: given.get(name, getattr(user, name)) for name in ("body", "warmup", "seed", "encryption")},
    }
    load = {name: value for name, value in load.items() if value is not None}
    generators = given.get("generators", user.generators)
    if not isinstance(generators, int):
        raise UserError(f"generators of {user.__name__} must be int, not {generators!r}")
    started_with = read_job()
    if started_with is not None:
        return replace(started_with, load={**load, **started_with.load})
    return Job(given.get("lab") or select_record(ready=True).name, load, generators, name=user.__name__.lower())


def check_job(job: Job, parts: int) -> None:
    """Check as far as possible beforehand that `parts` Locust processes can carry it. UserError, MissingError."""
    load = {**job.load}
    if load.get("seconds") == ENDLESS:
        load["seconds"] = CHECKED_SECONDS
    parse_traffic(load.get("traffic", Load.traffic))
    preflight.check_load(plan_of(job.lab).topology, load, parts * job.workers)


def add_run_folder(job: Job, options: Namespace) -> Job:
    """The job with a new folder for its run, if `--runs` is given and it has none. Raises UserError."""
    runs = getattr(options, "runs", None)
    if not runs or job.folder is not None:
        return job
    plan = plan_of(job.lab)
    folder = folders.make(Path(runs), job.name, plan.topology.name).absolute()
    folders.write(folder / folders.PLAN, files.dump(plan))
    return replace(job, folder=folder)


def find_class_with_traffic(classes: Iterable[type[Any]]) -> type[XmppUser] | None:
    """The one class whose traffic the engine carries, None if all have tasks of their own. Raises UserError."""
    every = list(classes)
    for one in every:
        if issubclass(one, XmppUser):
            check_attributes(one)
    found = [one for one in every if issubclass(one, XmppUser) and one.traffic is not None]
    if len(found) > 1:
        names = ", ".join(one.__name__ for one in found)
        raise UserError(
            f"one class with traffic at a time, here are {names}: write a mix, 3*local+1*archive, or pick one"
        )
    if found and len(every) > 1 and not found[0].fixed_count:
        raise UserError(f"{found[0].__name__} is not the only class: set how many users it has, with fixed_count")
    if found and found[0].tasks != [sleep_idle]:
        raise UserError(f"{found[0].__name__} has traffic and tasks: move the tasks to a separate class")
    return found[0] if found else None


def check_attributes(user: type[XmppUser]) -> None:
    """Raise UserError for an unknown attribute of a class, and for a class with neither traffic nor tasks.

    A class with traffic has no tasks that could use attributes of its own, so each unknown one is an error; in a class
    with tasks only one that resembles a known name is.
    """
    known = {name for name in dir(XmppUser) if not name.startswith("_")}
    settings = [name for name in XmppUser.__annotations__ if name != "client"]
    for one in user.__mro__[: user.__mro__.index(XmppUser)]:
        for name, value in vars(one).items():
            if name.startswith("_") or name in known or callable(value):
                continue
            near = difflib.get_close_matches(name, settings, n=1, cutoff=0.6 if user.traffic is not None else 0.8)
            if near:
                raise UserError(f"{user.__name__} has no attribute {name!r}: did you mean {near[0]!r}?")
            if user.traffic is not None:
                raise UserError(f"{user.__name__} has no attribute {name!r}: there are {', '.join(settings)}")
    if user.traffic is None and not user.tasks:
        raise UserError(f'{user.__name__} has nothing to do: set its traffic, as in traffic = "local", or write a task')


def _arrivals(given: dict[str, Any], of_class: str | None) -> str | None:
    """The arrivals that the options or the class ask for; a rate alone changes the class's rate, if it has just one."""
    if "arrivals" in given and "rate" in given:
        raise UserError("--rate is short for --arrivals: give one of them")
    if "rate" not in given:
        return given.get("arrivals", of_class)
    of_class = of_class or Load.arrivals
    kind, colon, rest = of_class.partition(":")
    if not colon:
        kind, rest = "constant", kind
    if kind not in ("constant", "poisson") or ":" in rest:
        raise UserError(f"the file's arrivals {of_class!r} are more than a rate: use --arrivals")
    return f"{kind}:{given['rate']}"
