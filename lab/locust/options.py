"""The lab's options of Locust's command line and web page, and the lab that they name.

Locust's web page and its master listen on the loopback address unless the user says otherwise: both obey every client.
"""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from locust import events

from lab.errors import UserError
from lab.load.model.job import VARIABLE, Job
from lab.plan import files
from lab.plan.layout import Layout
from lab.runtime.lab_record import select_record

if TYPE_CHECKING:
    from locust.argument_parser import LocustArgumentParser

    from lab.plan.model import Plan

#: Where Locust's web page and its master listen by default.
LOOPBACK = "127.0.0.1"

#: Options and fields of the page: name, type, help.
_OPTIONS: tuple[tuple[str, type[Any], str], ...] = (
    ("lab", str, "name of the lab that is up; needed where there are several"),
    ("arrivals", str, "when messages are due, such as 1000/s, poisson:500/s, ramp:100/s..1000/s,over=30s"),
    ("rate", str, "the rate of the file's arrivals, such as 1000/s"),
    ("body", int, "bytes of a message's body"),
    ("warmup", float, "seconds before the steady state; not in Locust's statistics"),
    ("seed", int, "of who writes to whom, and of drawn arrivals"),
    ("generators", int, "processes of the generator, for each Locust process"),
    ("runs", str, "write each run into a new folder below this one, as `xmpplab load` does"),
)


def add_options(parser: LocustArgumentParser) -> None:
    """Add the options to Locust's command line and page, and make both listen on the loopback address."""
    for name, kind, text in _OPTIONS:
        variable = f"LOCUST_{name.upper()}"  # each of Locust's own options has one
        parser.add_argument(f"--{name}", type=kind, default=None, help=f"xmpplab: {text}", env_var=variable)
    parser.set_defaults(web_host=LOOPBACK, master_bind_host=LOOPBACK)


events.init_command_line_parser.add_listener(add_options)


def read_options(options: Namespace) -> dict[str, Any]:
    """The options that were given, with the types of `_OPTIONS`. Raises UserError for text that is no number.

    The page's fields are text, "" where nothing was entered.
    """
    given = {}
    for name, kind, _ in _OPTIONS:
        value = getattr(options, name, None)
        if value in (None, ""):
            continue
        try:
            given[name] = kind(value)
        except ValueError as error:
            raise UserError(f"{name}: {value!r} is no number") from error
    return given


def read_job() -> Job | None:
    """The job of `xmpplab load`, if it started this process. Raises UserError if its file cannot be read."""
    name = os.environ.get(VARIABLE)
    if not name:
        return None
    try:
        return Job.decode(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{VARIABLE} must name a job of `xmpplab load`: {error}") from error


def select_lab(options: Namespace | None) -> str:
    """The name of the lab that the job or the options name, or the only one. Raises UserError unless it is up."""
    job = read_job()
    return select_record(job.lab if job is not None else getattr(options, "lab", None) or None, ready=True).name


def plan_of(lab: str) -> Plan:
    """The plan of a lab that is up. Raises UserError if there is no such lab."""
    try:
        return files.read(Layout.of(lab).plan)
    except FileNotFoundError as error:
        raise UserError(f"no lab {lab} is up") from error
