"""A D-Bus session for the program that this process becomes, which no other program of this machine sees."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping

from lab.errors import MissingError
from lab.system.processes import die_with_parent

VARIABLE = "DBUS_SESSION_BUS_ADDRESS"
_COMMAND = ("dbus-daemon", "--session", "--nofork", "--print-address=1")


def start(environment: Mapping[str, str]) -> dict[str, str]:
    """Start its message bus as a child of this process, with this environment; the variable by which it is found.

    The bus ends with this process, also after that has become another program, and however that ends:
    dbus-run-session(1), killed, would leave both bus and program. Raises MissingError.
    """
    try:
        bus = subprocess.Popen(
            _COMMAND,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
    except OSError as error:
        raise MissingError(f"{_COMMAND[0]} cannot be started: {error.strerror}") from error
    assert bus.stdout is not None
    with bus.stdout:
        address = bus.stdout.readline().strip()
    if not address:
        raise MissingError(f"{_COMMAND[0]} has ended with {bus.wait()}, before it said its address")
    return {VARIABLE: address}
