"""Files: written so that no other user can read them and no process sees an incomplete one; and their last lines."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

from lab.errors import naming


def make_private_folder(path: Path) -> Path:
    """Make a folder (and its parents) that only its owner can enter, mode 0700."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)  # whatever the umask is, and if the folder existed
    return path


def write_private(path: Path, data: bytes | str, mode: int = 0o600, owner: int | None = None) -> None:
    """Write a file whole or not at all; `mode` holds from its first byte on, `owner` is a uid and gid to give it to."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with naming(path), os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            if owner is not None:
                os.fchown(descriptor, owner, owner)
            file.write(data.encode() if isinstance(data, str) else data)
        temporary.replace(path)
    except BaseException:  # most often the disk is full: an incomplete file would fill it further
        temporary.unlink(missing_ok=True)
        raise


def read_last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a text file, without their ends; none if the file is not there."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=count)]
    except FileNotFoundError:
        return []
