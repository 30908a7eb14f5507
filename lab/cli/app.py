"""The application: every verb by its name. Each is one file here and one page in docs/.

The files import what is heavy inside their functions, so that --help stays quick.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from lab.cli.check import check
from lab.cli.compare import compare
from lab.cli.demo import demo
from lab.cli.doctor import doctor
from lab.cli.down import down
from lab.cli.edge import Settings
from lab.cli.exec_ import exec_
from lab.cli.graph import graph
from lab.cli.load import load
from lab.cli.logs import logs
from lab.cli.report import report
from lab.cli.run import run
from lab.cli.scenarios import scenarios
from lab.cli.status import status
from lab.cli.study import study
from lab.cli.sweep import sweep
from lab.cli.topologies import topologies
from lab.cli.up import up
from lab.cli.validate import validate

#: Plain help: it is quick, and reads the same in a pipe.
app = typer.Typer(
    name="xmpplab",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

#: In the order of --help: what is looked for first stands first.
VERBS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "run": run,
    "check": check,
    "report": report,
    "load": load,
    "study": study,
    "compare": compare,
    "up": up,
    "status": status,
    "logs": logs,
    "exec": exec_,
    "down": down,
    "topologies": topologies,
    "scenarios": scenarios,
    "validate": validate,
    "graph": graph,
    "doctor": doctor,
    "sweep": sweep,
}

for _name, _function in VERBS.items():
    app.command(_name)(_function)


def _version(asked: bool) -> None:
    if asked:
        from lab.packaged import VERSION

        print(f"xmpplab {VERSION}")
        raise typer.Exit


@app.callback()
def _before(
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks of internal errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """A local-first lab for XMPP federation: several real servers, people, encryption, a verdict.

    Exit codes: 0 valid, 1 failed, 2 unknown or nothing judged, 3 never ready, 64 bad usage,
    69 this machine lacks something, 70 internal error, 130/143 interrupted.
    """
    Settings.debug = debug
