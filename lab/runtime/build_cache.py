"""A folder of things that can be had again, filled by one process of this machine at a time.

Rules: what is half made has a name that begins with a dot and is renamed once it is whole; whoever holds the lock may
delete every such thing. The lock ends with its holder, SIGKILL included.
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
from lab.runtime.protocol import Progress
from lab.runtime.record import make_home
from lab.system.locks import is_locked, lock

_POLL = 0.1  # seconds between two tries for the lock: what is made takes seconds
PATIENCE = 900.0  # seconds: another process may be downloading 60 MB over a slow line


@dataclass(frozen=True)
class Store:
    """Such a folder; `places` are the folders below it in which things lie ("" for itself)."""

    folder: Path
    places: tuple[str, ...] = ("",)

    @contextlib.asynccontextmanager
    async def filling(self, progress: Progress, patience: float = PATIENCE) -> AsyncIterator[None]:
        """Hold the lock; what somebody left half made is deleted. Raises TimedOut."""
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

    def half_made(self) -> list[Path]:
        """What somebody began to make and did not end, or is making now."""
        return sorted(path for place in self.places for path in (self.folder / place).glob(".*"))

    def is_free(self) -> bool:
        """True if this user may fill it and nobody fills it at the moment."""
        return os.access(self.folder, os.W_OK) and not is_locked(self.folder / "lock")

    def _sweep(self) -> None:
        for path in self.half_made():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
