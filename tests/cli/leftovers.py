"""What a command that was started in a folder has left running."""

from __future__ import annotations

import contextlib
from pathlib import Path


def left(folder: Path) -> list[str]:
    """Processes that were started in that folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):  # gone, or somebody else's
            if entry.readlink() == folder:
                found.append(entry.parent.name)
    return found
