"""A lab's own record (lab.json) and its lock.

A process that changes a lab holds its lock (lab/system/locks.py). A lab in the phase `starting` or `stopping` whose
lock is free has lost the process that changed it: it is a leftover. One that is `not-ready` was never ready, and was
left as it is so that somebody can look at it (`up --keep`).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lab.errors import TimedOut, UserError
from lab.network.lab_folder import refuse_foreign
from lab.plan.layout import NAME, Layout, find_home
from lab.system.files import write_private
from lab.system.locks import lock
from lab.system.processes import Identity

FORMAT = 1  # of lab.json

STARTING = "starting"
READY = "ready"
STOPPING = "stopping"
NOT_READY = "not-ready"

LOCK_PATIENCE = 60.0  # seconds: longer than a lab of 50 servers needs to start or to end


@dataclass(frozen=True)
class LabRecord:
    """The content of lab.json. `owner` is the process that started the lab; with `owned` the lab ends when it ends."""

    name: str
    topology: str
    runtime: str
    phase: str
    owned: bool
    owner: Identity
    made: float  # seconds since the epoch
    ready: float | None = None
    unknown: tuple[tuple[str, str], ...] = field(default=())  # edges over which no server of the lab could send a ping
    source: str = ""  # what `up` was given for the topology, valid in every folder; "" if it is not known

    def enter_phase(self, phase: str, **values: Any) -> LabRecord:
        """The record in another phase."""
        return replace(self, phase=phase, **values)

    def write(self, layout: Layout) -> None:
        """Write lab.json, whole or not at all."""
        write_private(layout.state, json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n")

    @classmethod
    def read(cls, layout: Layout) -> LabRecord | None:
        """The record of a lab; None if there is none, or one that this version cannot read."""
        try:
            data = json.loads(layout.state.read_text())
            if data.pop("format") != FORMAT:
                return None
            data["owner"] = Identity.from_json(data["owner"])
            data["unknown"] = tuple((a, b) for a, b in data["unknown"])
            return cls(**data)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None


def list_layouts() -> list[Layout]:
    """Every lab folder below `find_home()`, by name; among them may be leftovers."""
    folder = find_home() / "labs"
    if not folder.is_dir():
        return []
    found = sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name))
    return [Layout(path) for path in found if path.is_dir() and not path.is_symlink()]


def select_record(name: str | None = None, *, ready: bool = False) -> LabRecord:
    """The record of the lab of that name, or without a name of the only lab.

    Labs that a run or a test owns count only where there is no other; with `ready` only labs that are up count at all.
    Raises UserError if there is none or more than one.
    """
    records = [record for layout in list_layouts() if (record := LabRecord.read(layout)) is not None]
    if ready:
        records = [record for record in records if record.phase == READY]
    if name is not None:
        wanted = Layout.of(name).name
        found = [record for record in records if record.name == wanted]
        if not found:
            there = ", ".join(record.name for record in records)
            raise UserError(f"there is no lab {name}; " + (f"there are {there}" if there else "none is up"))
        return found[0]
    candidates = [record for record in records if not record.owned] or records
    if not candidates:
        raise UserError("no lab is up; start one with: xmpplab up TOPOLOGY")
    if len(candidates) > 1:
        raise UserError(f"several labs are up, name one of: {', '.join(record.name for record in candidates)}")
    return candidates[0]


@contextlib.asynccontextmanager
async def locked(layout: Layout, *, patience: float = LOCK_PATIENCE, make: bool = False) -> AsyncIterator[None]:
    """Hold a lab's lock. With `make` its folder is made.

    Raises TimedOut, FileNotFoundError without a folder, UserError for one that is no lab's, in which nothing changes.
    """
    while True:
        refuse_foreign(layout)
        if make:
            make_root(layout)
        try:
            descriptor = await lock(layout.lock, patience=patience)
            break
        except FileNotFoundError:  # another process has deleted the folder
            if not make:
                raise
        except TimeoutError:
            raise TimedOut(f"the lab {layout.name} is being changed by another process", _holder(layout)) from None
    try:
        yield
    finally:
        os.close(descriptor)


def make_root(layout: Layout) -> None:
    """Make the lab's folder. Where root starts servers they run as another user, who may enter it to reach their own.

    Raises UserError where it cannot be made.
    """
    make_home()
    for folder in (layout.root.parent, layout.root):
        _make_folder(folder)


def make_home() -> None:
    """Make the folder of all labs and caches. Raises UserError where it cannot be made."""
    _make_folder(find_home())


def find_existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that is there, as far as this user may see."""
    return next(one for one in (folder, *folder.parents) if os.access(one, os.F_OK))


def find_home_problem() -> str:
    """Why no lab can be made below `find_home()`, "" if it can be; found out without changing anything."""
    for folder in (find_home(), find_home() / "labs"):
        there = find_existing(folder)
        if not there.is_dir():
            return f"{there} is no folder"
        if not os.access(there, os.W_OK | os.X_OK):
            return f"{there} cannot be written to"
    return ""


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)  # whatever the umask says
    except OSError as error:
        raise UserError(f"{folder} cannot be made ({error.strerror}): set XMPPLAB_HOME to a folder of yours") from error


def _holder(layout: Layout) -> tuple[str, ...]:
    record = LabRecord.read(layout)
    return (f"process {record.owner.pid}, phase {record.phase}",) if record else ()
