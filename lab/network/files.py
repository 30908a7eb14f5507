"""Writing the lab's files so that nobody else can read them and nobody ever sees half of one."""

from __future__ import annotations

import os
from pathlib import Path


def private_folder(path: Path) -> Path:
    """Make a folder (and its parents) that only its owner can enter, mode 0700."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)  # an existing folder, or a umask with other ideas
    return path


def write_private(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file whole or not at all; `mode` holds from its first byte on."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
    temporary.replace(path)
