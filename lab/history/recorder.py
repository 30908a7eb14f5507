"""The recorder: it writes every event into a file and passes it to listeners.

Rules: events are only ever appended, each is one line of JSON with the next number and is flushed before `record`
returns, so a killed run loses at most its last line, and a line that is taken out later is missed. The file is 0600:
it contains whole stanzas. Times are those of the events.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self, TypeVar

from lab.errors import UserError, naming
from lab.history.events import Event, Note

E = TypeVar("E", bound=Event)
Listener = Callable[[Event], None]


class Recorder:
    """Holds the events of one run, in memory and in a file of JSON lines. Any thread may record."""

    def __init__(self, path: Path) -> None:
        """Begin a history at `path`. Raises UserError if there is a file already: a history is never overwritten."""
        self.path = path
        self.events: list[Event] = []
        self._listeners: list[Listener] = []
        self._lock = Lock()
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise UserError(f"{path}: there is a history already: choose another folder") from None
        self._file = os.fdopen(descriptor, "w", encoding="ascii")

    def now(self) -> float:
        """Seconds since the epoch, for the `at` of an event."""
        return time.time()

    def record(self, event: E) -> E:
        """Append an event; it is in the file when this returns. Listeners are called in the order of recording.

        Raises ValueError after `close`, or for a value that JSON does not have.
        """
        body = json.dumps(event.to_json(), allow_nan=False, separators=(",", ":"))
        with self._lock, naming(self.path):
            self._file.write(f'{{"seq":{len(self.events) + 1},{body[1:]}\n')
            self._file.flush()
            self.events.append(event)
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(event)
        return event

    def note(self, text: str, by: str = "lab") -> None:
        """Record something worth knowing that no check judges."""
        self.record(Note(at=self.now(), text=text, by=by))

    def on_event(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event from now on, in the recording thread; the answer ends that.

        An error of a listener reaches whoever recorded: the event is in the history by then.
        """
        with self._lock:
            self._listeners.append(listener)

        def end() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return end

    def close(self) -> None:
        """End the history; nothing can be recorded any more. May be called twice."""
        with self._lock, naming(self.path):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
