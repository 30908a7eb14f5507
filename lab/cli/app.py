"""The application: every verb by its name. A verb is one file here, one line below and one page in docs/.

The files import heavy modules inside their functions, so that --help stays fast.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Annotated

import typer

from lab.cli.entry_point import CommandSettings

#: Plain help: it is quick, and reads the same in a pipe.
app = typer.Typer(
    name="xmpplab",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

#: In the order of --help. Each is the function in the module of the same name; "_" ends a name that Python has.
_MODULES = (
    "demo",
    "run",
    "check",
    "report",
    "diff",
    "exposure",
    "attacks",
    "load",
    "study",
    "compare",
    "up",
    "status",
    "logs",
    "exec_",
    "person",
    "env",
    "with_",
    "client",
    "profile",
    "watch",
    "send",
    "ping",
    "shell",
    "stop",
    "start",
    "restart",
    "kill",
    "fault",
    "down",
    "topologies",
    "scenarios",
    "validate",
    "graph",
    "export",
    "prepare",
    "doctor",
    "sweep",
)

#: The function of each verb, by its name.
VERBS: dict[str, Callable[..., None]] = {
    name.removesuffix("_"): getattr(import_module(f"lab.cli.{name}"), name) for name in _MODULES
}

#: Verbs whose first argument begins somebody's own command line: options behind it are that one's.
_PASSED_ON = ("with",)

for _name, _function in VERBS.items():
    app.command(_name, context_settings={"allow_interspersed_args": _name not in _PASSED_ON})(_function)


def _version(asked: bool) -> None:
    if asked:
        from lab.cli.output import print_text
        from lab.packaged import VERSION

        print_text(f"xmpplab {VERSION}")
        raise typer.Exit


@app.callback()
def _before(
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks of internal errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """A lab for XMPP federation on this machine: real servers, simulated people, encryption, a verdict.

    Exit codes: 0 valid, 1 failed, 2 unknown or nothing judged, 3 a server or link did not become ready,
    64 bad usage, 69 this machine lacks something, 70 internal error, 130/143 interrupted.
    """
    CommandSettings.debug = debug
