"""The load coordinator (`python -m lab.load`) as a child process of a Locust process; a greenlet reads its output.

The child is started when a load starts, never on import and always after Locust's forks. It ends when its standard
input ends, so that it never outlives this process, however this process ends.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from typing import Any

import gevent
from gevent import subprocess
from gevent.event import Event

from lab.errors import PeerError, encode_event
from lab.load.model.job import Job
from lab.system.subprocesses import build_python_command

EventHandler = Callable[[dict[str, Any]], None]

#: The last event of a coordinator is one of these.
FINAL_EVENTS = ("result", "failed")
#: Seconds that the coordinator has after its last event to close its connections and workers.
EXIT_TIMEOUT = 15.0


class CoordinatorProcess:
    """Carries one load. `on_event` gets each event; the last one is always "result" or "failed"."""

    def __init__(self, job: Job, on_event: EventHandler) -> None:
        self._on_event = on_event
        self._stopped = False
        self.ended = Event()
        self._process = subprocess.Popen(
            build_python_command("lab.load"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Locust handles Ctrl-C and then calls `stop`
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._write(job.encode())
        gevent.spawn(self._read)

    def command(self, **command: Any) -> None:
        """Send a command, see docs/load-coordinator.md; does nothing if the process has ended."""
        self._write(json.dumps(command))

    def stop(self) -> None:
        """Stop the load early; the result still follows."""
        if not self._stopped:
            self._stopped = True
            self.command(stop=True)

    def _write(self, line: str) -> None:
        try:
            self._in.write(line.encode() + b"\n")
            self._in.flush()
        except (BrokenPipeError, ValueError):  # the process has ended: `_read` reports why
            return
        except OSError as error:  # gevent's files raise this once they are closed
            if error.errno != errno.EBADF:
                raise

    def _read(self) -> None:
        last = None
        for line in self._out:
            event = json.loads(line)
            last = event["event"]
            self._on_event(event)
        status = self._wait()
        if last not in FINAL_EVENTS:
            message = f"the load's coordinator ended with status {status} and no result"
            self._on_event(encode_event(PeerError(message)))
        self.ended.set()

    def _wait(self) -> int:
        """Wait until the process has ended; its exit status."""
        self._in.close()
        try:
            status = self._process.wait(EXIT_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._out.close()
        return int(status)
