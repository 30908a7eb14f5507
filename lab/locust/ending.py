"""How a Locust process ends: Ctrl-C in order, and the forked ones with the one that forked them.

Locust leaves Ctrl-C to Python, whose KeyboardInterrupt comes wherever the interpreter just is: gevent loses it there,
or a worker tells its master that it is gone before its part is counted. So the signal is taken here, and does what the
end of the run time does. A second one does not wait: the conductors end by themselves when their input does.

    alone, master   all parts stop, all is counted, then Locust's own reports
    worker          asks its master to end the load for all, tells what it has, then quits
    page            as above, and the page is closed
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
#: As a shell has it for what a signal ended.
INTERRUPTED = 128 + signal.SIGINT


class Interrupt:
    """What Ctrl-C does in one Locust process."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._times = 0

    def __call__(self) -> None:
        """It came."""
        self._times += 1
        if self._times > 1:
            log.warning("interrupted again: not waiting for what is still under way")
            sys.exit(INTERRUPTED)
        environment = self._environment
        runner, options = environment.runner, environment.parsed_options
        assert runner is not None
        log.info("interrupted: the load stops, what is under way is still counted")
        waits = isinstance(runner, MasterRunner) and runner.state == STATE_INIT  # for its workers
        runner.quit()
        if environment.web_ui is not None:
            environment.web_ui.stop()
        elif waits and options is not None and options.headless:
            sys.exit(INTERRUPTED)  # it would go on waiting


def prepare(environment: Environment) -> None:
    """Once Locust is set up in this process."""
    global _forks
    _forks = False
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as a shell has it for what runs in the background
        gevent.signal_handler(signal.SIGINT, Interrupt(environment))


#: Whether what is forked now is one of Locust's processes: until it is set up, it starts nothing else.
_forks = True
_parent = os.getpid()
_libc = ctypes.CDLL(None)  # loaded before there are forks


def _end_with_parent() -> None:
    """In a process that was forked: end when the parent does, however that ends.

    Locust's own would go on for minutes: with their part of the load, or looking for a master that never was there.
    """
    if _forks:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != _parent:
            os._exit(1)


os.register_at_fork(after_in_child=_end_with_parent)
