"""Writing the lab's files so that nobody else can read them and nobody ever sees half of one."""

from __future__ import annotations

import os
from pathlib import Path


def private_folder(path: Path) -> Path:
    """Make a folder (and its parents) that only its owner can enter, mode 0700."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)  # an existing folder, or a umask with other ideas
    return path


def write_private(path: Path, data: bytes | str, mode: int = 0o600, owner: int | None = None) -> None:
    """Write a file whole or not at all; `mode` holds from its first byte on, `owner` is a uid and gid to give it to."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            if owner is not None:
                os.fchown(descriptor, owner, owner)
            file.write(data.encode() if isinstance(data, str) else data)
        temporary.replace(path)
    except BaseException:  # a full disk, most often: half a file would only fill it further
        temporary.unlink(missing_ok=True)
        raise
