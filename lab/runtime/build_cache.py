"""A cache folder of what can be fetched or built again, written by one process of this machine at a time.

Rules: what is unfinished has a name that begins with a dot and is renamed once it is complete; who holds the lock may
delete all that is unfinished.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from lab.errors import TimedOut
from lab.plan.layout import find_home
from lab.runtime.lab_record import make_home
from lab.runtime.protocol import Progress
from lab.system.locks import is_locked, lock

VARIABLE = "XMPPLAB_CACHE"

_POLL = 0.1  # seconds between two tries for the lock: a build takes seconds
PATIENCE = 900.0  # seconds: another process may be downloading 60 MB over a slow line


def find_cache() -> Path:
    """The folder of all that can be fetched or built again: XMPPLAB_CACHE, or `cache` below `find_home()`.

    A complete one may belong to another user and be read-only. Symbolic links are resolved: a tree contains its own
    path, and under another path it would count as moved, and be built again.
    """
    chosen = os.environ.get(VARIABLE)
    return (Path(chosen) if chosen else find_home() / "cache").resolve()


@dataclass(frozen=True)
class BuildCache:
    """Such a folder; `places` are the folders below it with entries ("" for itself)."""

    folder: Path
    places: tuple[str, ...] = ("",)

    @contextlib.asynccontextmanager
    async def locked(self, progress: Progress, patience: float = PATIENCE) -> AsyncIterator[None]:
        """Hold the lock; what another process left unfinished is deleted first. Raises TimedOut."""
        make_home()
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.folder.chmod(0o755)
        try:
            descriptor = await lock(
                self.folder / "lock",
                patience=patience,
                poll=_POLL,
                waiting=lambda: progress("waiting for another process that fills the cache"),
            )
        except TimeoutError:
            raise TimedOut(f"another process has been filling {self.folder} for {patience:.0f} s") from None
        try:
            await asyncio.to_thread(self._sweep)
            yield
        finally:
            os.close(descriptor)

    def unfinished(self) -> list[Path]:
        """What a process began and did not finish, or is writing now."""
        return sorted(path for place in self.places for path in (self.folder / place).glob(".*"))

    def is_free(self) -> bool:
        """True if this user may write it and no process holds its lock."""
        return os.access(self.folder, os.W_OK) and not is_locked(self.folder / "lock")

    def _sweep(self) -> None:
        for path in self.unfinished():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
