"""The conductor as a child process of a Locust process: its lines are read by a greenlet.

It is started when a load starts, never on import and after Locust's forks. It ends by itself when its standard input
ends, so that it never outlives us, whatever ends us.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import gevent
from gevent import subprocess
from gevent.event import Event

from lab.errors import PeerError, encode_event
from lab.load.model.job import Job

Handler = Callable[[dict[str, Any]], None]

#: Events after which nothing comes.
LAST = ("result", "failed")
#: Seconds that it has to close its connections and workers after its last word.
PARTING = 15.0


def environment() -> dict[str, str]:
    """Of our child processes: a load file in the current folder, such as omemo.py, must not stand for a package."""
    return {**os.environ, "PYTHONSAFEPATH": "1"}


class Conductor:
    """One load. `handle` is called with each event; the last one is "result" or "failed", whatever happens."""

    def __init__(self, job: Job, handle: Handler) -> None:
        self._handle = handle
        self._stopped = False
        self.ended = Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lab.load.main"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
            start_new_session=True,  # Ctrl-C is Locust's to handle: it asks us to stop
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._write(job.encode())
        gevent.spawn(self._read)

    def order(self, **order: Any) -> None:
        """Give an order, see docs/load-conductor.md; nothing if it has ended."""
        self._write(json.dumps(order))

    def stop(self) -> None:
        """Stop early; the result still comes."""
        if not self._stopped:
            self._stopped = True
            self.order(stop=True)

    def _write(self, line: str) -> None:
        try:
            self._in.write(line.encode() + b"\n")
            self._in.flush()
        except (BrokenPipeError, ValueError):  # it has ended: its last event, or the lack of it, tells why
            return
        except OSError as error:  # the same, told by gevent's files once they are closed
            if error.errno != errno.EBADF:
                raise

    def _read(self) -> None:
        last = None
        for line in self._out:
            event = json.loads(line)
            last = event["event"]
            self._handle(event)
        status = self._end()
        if last not in LAST:
            message = f"the load's conductor ended with status {status} and no result"
            self._handle(encode_event(PeerError(message)))
        self.ended.set()

    def _end(self) -> int:
        """Its exit status, once it is gone."""
        self._in.close()
        try:
            status = self._process.wait(PARTING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._out.close()
        return int(status)
