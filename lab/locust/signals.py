"""How a Locust process ends: Ctrl-C stops the load in order, and forked processes end with their parent.

Locust leaves Ctrl-C to Python, which raises KeyboardInterrupt wherever the interpreter happens to be: gevent loses it
there, or a worker tells its master that it quits before its part is counted. So SIGINT is handled here and does what
the end of the run time does. A second SIGINT does not wait: coordinators end when their standard input ends.

    one process, master    all parts stop, everything is counted, then Locust prints its reports
    worker                 asks its master to stop the load for all, reports its counts, then quits
    with a web page        as above, and the page is closed
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys

import gevent
from locust.env import Environment
from locust.runners import STATE_INIT, MasterRunner

log = logging.getLogger("xmpplab")

_PR_SET_PDEATHSIG = 1
#: Exit status of a process that SIGINT ended, as shells report it.
INTERRUPTED = 128 + signal.SIGINT


class InterruptHandler:
    """Handles SIGINT in one Locust process."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._count = 0

    def __call__(self) -> None:
        """SIGINT was received."""
        self._count += 1
        if self._count > 1:
            log.warning("interrupted again: not waiting for what is still under way")
            sys.exit(INTERRUPTED)
        environment = self._environment
        runner, options = environment.runner, environment.parsed_options
        assert runner is not None
        log.info("interrupted: the load stops, what is under way is still counted")
        waits_for_workers = isinstance(runner, MasterRunner) and runner.state == STATE_INIT
        runner.quit()
        if environment.web_ui is not None:
            environment.web_ui.stop()
        elif waits_for_workers and options is not None and options.headless:
            sys.exit(INTERRUPTED)  # Locust would go on waiting for them


def install(environment: Environment) -> None:
    """Handle SIGINT. To be called once Locust is set up in this process: what forks afterwards is not Locust."""
    global _locust_forks
    _locust_forks = False
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # shells set it so for background processes
        gevent.signal_handler(signal.SIGINT, InterruptHandler(environment))


#: Whether a process that is forked now is one of Locust's: until Locust is set up, it forks nothing else.
_locust_forks = True
_parent = os.getpid()
_libc = ctypes.CDLL(None)  # loaded before there are forks


def _end_with_parent() -> None:
    """In a forked process: end when the parent ends, however that happens.

    Locust's own processes would go on for minutes: with their part of the load, or waiting for a master that is gone.
    """
    if _locust_forks:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != _parent:
            os._exit(1)


os.register_at_fork(after_in_child=_end_with_parent)
