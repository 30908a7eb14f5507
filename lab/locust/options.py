"""What load a Locust process carries: from the command line, the page, the class of the file, and `xmpplab load`'s job.

Of each figure the first that is said holds: the job that `xmpplab load` names in XMPPLAB_LOAD, an option of Locust's
command line (or field of its page), the attribute of the `XmppUser`, the engine's default. Users are Locust's `-u`, the
steady state's length is its `-t`, logins a second its `-r`.

Locust's page and its master listen on this machine alone, unless somebody says otherwise: both obey whoever comes.
"""

from __future__ import annotations

import difflib
import os
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from locust import events

from lab.errors import UserError
from lab.load.model.job import VARIABLE, Job
from lab.load.model.spec import Load
from lab.plan import files
from lab.plan.layout import Layout
from lab.runner import folders
from lab.runtime import record as state

if TYPE_CHECKING:
    from locust.argument_parser import LocustArgumentParser

    from lab.locust.user import XmppUser
    from lab.plan.model import Plan

#: Logins a second where `-r` says nothing: Locust's own 1 is meant for browsers. It warns above 100.
LOGINS = 100.0
#: Seconds of a load without an end: until somebody stops it.
ENDLESS = 86_400.0

#: Where Locust's page and its master listen.
LOOPBACK = "127.0.0.1"
#: Seconds of an endless load that are looked at beforehand.
FORESEEN = 60.0

#: Options and fields of the page: name, type, attribute of a load (or of the user), help.
_OPTIONS: tuple[tuple[str, type[Any], str], ...] = (
    ("lab", str, "name of the lab that is up; needed where there are several"),
    ("arrivals", str, "when messages are due, such as 1000/s, poisson:500/s, ramp:100/s..1000/s,over=30s"),
    ("rate", str, "the rate of the file's arrivals, such as 1000/s"),
    ("body", int, "bytes of a message's body"),
    ("warmup", float, "seconds before the steady state; not in Locust's statistics"),
    ("seed", int, "of who writes to whom, and of drawn arrivals"),
    ("generators", int, "processes of the generator, for each Locust process"),
    ("runs", str, "keep each run in a folder of its own below this one, as `xmpplab load` does"),
)


def add(parser: LocustArgumentParser) -> None:
    """Add the options to Locust's own, and with them fields to its page; nobody else's machine is listened to."""
    for name, kind, text in _OPTIONS:
        variable = f"LOCUST_{name.upper()}"  # as each of Locust's own has one
        parser.add_argument(f"--{name}", type=kind, default=None, help=f"xmpplab: {text}", env_var=variable)
    parser.set_defaults(web_host=LOOPBACK, master_bind_host=LOOPBACK)


events.init_command_line_parser.add_listener(add)


def job(user: type[XmppUser], given: Namespace, users: int) -> Job:
    """The job for this class of users. Raises UserError for what cannot be meant, and without a lab."""
    said = _said(given)
    load: dict[str, Any] = {
        "users": user.fixed_count or users,
        "traffic": user.traffic,
        "arrivals": _arrivals(said, user.arrivals),
        "seconds": float(given.run_time or ENDLESS),
        "login_rate": float(given.spawn_rate or LOGINS),
        **{name: said.get(name, getattr(user, name)) for name in ("body", "warmup", "seed", "encryption")},
    }
    load = {name: value for name, value in load.items() if value is not None}
    generators = said.get("generators", user.generators)
    if not isinstance(generators, int):
        raise UserError(f"generators of {user.__name__} must be int, not {generators!r}")
    handed = handed_on()
    if handed is not None:
        return replace(handed, load={**load, **handed.load})
    return Job(said.get("lab") or the_lab(), load, generators, name=user.__name__.lower())


def check(job: Job, parts: int) -> None:
    """Whether it can be carried in so many parts, as far as is known beforehand. Raises UserError, MissingError."""
    from lab.load.workload import preflight
    from lab.load.workload.traffic_mix import parse

    load = {**job.load}
    if load.get("seconds") == ENDLESS:
        load["seconds"] = FORESEEN
    parse(load.get("traffic", Load.traffic))
    preflight.check_load(plan_of(job.lab).topology, load, parts * job.workers)


def with_folder(job: Job, given: Namespace) -> Job:
    """The job with a new folder for its run, if one is asked for and it has none. Raises UserError."""
    runs = getattr(given, "runs", None)
    if not runs or job.folder is not None:
        return job
    plan = plan_of(job.lab)
    folder = folders.make(Path(runs), job.name, plan.topology.name).absolute()
    folders.write(folder / folders.PLAN, files.dump(plan))
    return replace(job, folder=folder)


def handed_on() -> Job | None:
    """The job of `xmpplab load`, if it started us. Raises UserError if its file cannot be read."""
    name = os.environ.get(VARIABLE)
    if not name:
        return None
    try:
        return Job.decode(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{VARIABLE} must name a job of `xmpplab load`: {error}") from error


def lab_of(given: Namespace | None) -> str:
    """The name of the lab that is meant, which is up. Raises UserError."""
    handed = handed_on()
    name = handed.lab if handed is not None else getattr(given, "lab", None)
    if not name:
        return the_lab()
    if name not in (ready := _ready(owned=True)):
        raise UserError(f"no lab {name} is up" + (f": there are {', '.join(ready)}" if ready else ""))
    return str(name)


def the_lab() -> str:
    """The name of the only lab that is up and nobody's own. Raises UserError."""
    ready = _ready()
    if not ready:
        raise UserError("no lab is up: start one with `xmpplab up TOPOLOGY`")
    if len(ready) > 1:
        raise UserError(f"say which lab, with --lab: there are {', '.join(ready)}")
    return ready[0]


def _ready(*, owned: bool = False) -> list[str]:
    """The names of labs that are up; with `owned` also of those that somebody else has for himself."""
    found = [(layout.name, state.Record.read(layout)) for layout in state.layouts()]
    return [
        name
        for name, record in found
        if record is not None and record.phase == state.READY and (owned or not record.owned)
    ]


def plan_of(lab: str) -> Plan:
    """The plan of a lab that is up. Raises UserError."""
    try:
        return files.load(Layout.of(lab).plan.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"no lab {lab} is up") from error


def the_class(classes: Iterable[type[Any]]) -> type[XmppUser] | None:
    """The one class whose traffic the engine carries, None if all have tasks of their own. Raises UserError."""
    from lab.locust.user import XmppUser, carried_by_the_engine

    every = list(classes)
    for one in every:
        if issubclass(one, XmppUser):
            check_names(one)
    found = [one for one in every if issubclass(one, XmppUser) and one.traffic is not None]
    if len(found) > 1:
        names = ", ".join(one.__name__ for one in found)
        raise UserError(
            f"one class with traffic at a time, here are {names}: write a mix, 3*local+1*archive, or pick one"
        )
    if found and len(every) > 1 and not found[0].fixed_count:
        raise UserError(f"{found[0].__name__} stands beside others: say how many it has, with fixed_count")
    if found and found[0].tasks != [carried_by_the_engine]:
        raise UserError(f"{found[0].__name__} has traffic and tasks: give the tasks a class of their own")
    return found[0] if found else None


def check_names(user: type[XmppUser]) -> None:
    """Whether a class says what it means. Raises UserError for a name that is none, and for one without anything to do.

    With traffic there are no tasks that could use names of one's own; without, only what looks like a slip is one.
    """
    from lab.locust.user import XmppUser

    known = {name for name in dir(XmppUser) if not name.startswith("_")}
    means = [name for name in XmppUser.__annotations__ if name != "client"]
    for one in user.__mro__[: user.__mro__.index(XmppUser)]:
        for name, value in vars(one).items():
            if name.startswith("_") or name in known or callable(value):
                continue
            near = difflib.get_close_matches(name, means, n=1, cutoff=0.6 if user.traffic is not None else 0.8)
            if near:
                raise UserError(f"{user.__name__} has no use for {name!r}: did you mean {near[0]!r}?")
            if user.traffic is not None:
                raise UserError(f"{user.__name__} has no use for {name!r}: there are {', '.join(means)}")
    if user.traffic is None and not user.tasks:
        raise UserError(f'{user.__name__} has nothing to do: say its traffic, as in traffic = "local", or write a task')


def _said(given: Namespace) -> dict[str, Any]:
    """Options that were given; the page's fields are text, "" where nothing is in them."""
    said = {}
    for name, kind, _ in _OPTIONS:
        value = getattr(given, name, None)
        if value in (None, ""):
            continue
        try:
            said[name] = kind(value)
        except ValueError as error:
            raise UserError(f"{name}: {value!r} is no number") from error
    return said


def _arrivals(said: dict[str, Any], of_file: str | None) -> str | None:
    """Arrivals as they were asked for; a rate alone keeps the file's model, if it has but a rate."""
    if "arrivals" in said and "rate" in said:
        raise UserError("--rate is short for --arrivals: give one of them")
    if "rate" not in said:
        return said.get("arrivals", of_file)
    of_file = of_file or Load.arrivals
    kind, colon, rest = of_file.partition(":")
    if not colon:
        kind, rest = "constant", kind
    if kind not in ("constant", "poisson") or ":" in rest:
        raise UserError(f"the file's arrivals {of_file!r} are more than a rate: use --arrivals")
    return f"{kind}:{said['rate']}"
