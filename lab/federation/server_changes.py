"""What a run has changed on servers and not changed back, in the lab's folder: after a killed run the next finds it."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator
from pathlib import Path

from lab.plan.layout import Layout
from lab.system.files import write_private
from lab.system.processes import Identity


class ServerChanges:
    """The changes of one run. They are written down before they are made, and taken back once they are undone."""

    def __init__(self, layout: Layout) -> None:
        self.refused: set[tuple[str, str]] = set()  # name of a server, domain that it refuses while it runs
        self.opened: set[str] = set()  # names of servers whose registration is not closed, as it is at first
        self._file = layout.changes / f"{secrets.token_hex(8)}.json"

    def write(self, refused: set[tuple[str, str]], opened: set[str]) -> None:
        """These are made, or about to be: if this process is killed, they are found."""
        if not refused and not opened:
            self._file.unlink(missing_ok=True)
            return
        self._file.parent.mkdir(mode=0o700, exist_ok=True)
        found = {"owner": Identity.own().to_json(), "refused": sorted(refused), "opened": sorted(opened)}
        write_private(self._file, json.dumps(found))


def find_left(layout: Layout) -> Iterator[tuple[Path, set[str], set[str]]]:
    """What processes that have ended left: a file, the servers that refuse domains, those with open registration."""
    for path in sorted(layout.changes.glob("*.json")):
        with contextlib.suppress(FileNotFoundError):  # its run has just ended
            found = json.loads(path.read_text())
            if not Identity.from_json(found["owner"]).alive:
                yield path, {server for server, _ in found["refused"]}, set(found["opened"])
