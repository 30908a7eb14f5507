"""What load a Locust process carries: from the command line, the page, the class of the file, and `xmpplab load`'s job.

Of each figure the first that is said holds: the job that `xmpplab load` names in XMPPLAB_LOAD, an option of Locust's
command line (or field of its page), the attribute of the `XmppUser`, the engine's default. Users are Locust's `-u`, the
steady state's length is its `-t`, logins a second its `-r`.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from locust import events

from lab.errors import UserError
from lab.load.job import VARIABLE, Job
from lab.load.spec import Load
from lab.runtime import state

if TYPE_CHECKING:
    from locust.argument_parser import LocustArgumentParser

    from lab.locust.user import XmppUser

#: Logins a second where `-r` says nothing: Locust's own 1 is meant for browsers. It warns above 100.
LOGINS = 100.0
#: Seconds of a load without an end: until somebody stops it.
ENDLESS = 86_400.0

#: Options and fields of the page: name, type, attribute of a load (or of the user), help.
_OPTIONS: tuple[tuple[str, type[Any], str], ...] = (
    ("lab", str, "name of the lab that is up; needed where there are several"),
    ("arrivals", str, "when messages are due, such as 1000/s, poisson:500/s, ramp:100/s..1000/s,over=30s"),
    ("rate", str, "the rate of the file's arrivals, such as 1000/s"),
    ("body", int, "bytes of a message's body"),
    ("warmup", float, "seconds before the steady state; not in Locust's statistics"),
    ("seed", int, "of who writes to whom, and of drawn arrivals"),
    ("generators", int, "processes of the generator, for each Locust process"),
)


def add(parser: LocustArgumentParser) -> None:
    """Add the options to Locust's own, and with them fields to its page."""
    for name, kind, text in _OPTIONS:
        parser.add_argument(f"--{name}", type=kind, default=None, help=f"xmpplab: {text}")


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
    generators = int(said.get("generators") or user.generators)
    handed = handed_on()
    if handed is not None:
        return replace(handed, load={**load, **handed.load})
    return Job(said.get("lab") or the_lab(), load, generators)


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
    """The name of the lab that is meant. Raises UserError."""
    handed = handed_on()
    return handed.lab if handed is not None else getattr(given, "lab", None) or the_lab()


def the_lab() -> str:
    """The name of the only lab that is up and nobody's own. Raises UserError."""
    found = [(layout.name, state.Record.read(layout)) for layout in state.layouts()]
    ready = [name for name, record in found if record is not None and record.phase == state.READY and not record.owned]
    if not ready:
        raise UserError("no lab is up: start one with `xmpplab up TOPOLOGY`")
    if len(ready) > 1:
        raise UserError(f"say which lab, with --lab: there are {', '.join(ready)}")
    return ready[0]


def the_class(classes: Iterable[type[Any]]) -> type[XmppUser] | None:
    """The one class whose traffic the engine carries, None if all have tasks of their own. Raises UserError."""
    from lab.locust.user import XmppUser, carried_by_the_engine

    every = list(classes)
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
