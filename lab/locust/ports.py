"""Ports that Locust's web page and its master cannot have: one sentence in place of a traceback."""

from __future__ import annotations

import errno
import socket
import sys
from argparse import Namespace
from types import TracebackType

from locust.exception import RPCError

from lab.errors import UserError


def check_web_port(options: Namespace | None) -> None:
    """Raises UserError if Locust's page could not listen where the options say. Call it before the page is started."""
    if options is None or options.headless or options.worker:
        return
    host = "" if options.web_host == "*" else options.web_host
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, options.web_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
        raise UserError(
            f"port {options.web_port} of {host or 'this machine'} {why}: choose another with --web-port, "
            "or take --headless"
        ) from error


def report_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """As Python reports an error that nothing has caught; a master that cannot listen in one sentence."""
    if isinstance(error, RPCError) and "bind failure" in str(error):
        print(
            f"xmpplab: Locust's master cannot listen ({error}): another one may run; choose another port with "
            "--master-bind-port",
            file=sys.stderr,
        )
        return
    sys.__excepthook__(kind, error, trace)


if sys.excepthook is sys.__excepthook__:  # nobody else has one, such as a debugger
    sys.excepthook = report_uncaught
