"""Files that a person names, read without waiting for what never ends: a device, a pipe, a file of a terabyte."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from lab.errors import UserError


def read_regular(path: Path, most: int, what: str) -> bytes:
    """The content of a regular file of at most `most` bytes; `what` it is to be is named in errors: "a topology".

    Raises UserError for anything else, OSError where it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # without O_NONBLOCK a FIFO would wait
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise UserError(f"{path}: is a folder: give a file")
        if not stat.S_ISREG(mode):
            raise UserError(f"{path}: is no regular file: save {what} in one")
        data = file.read(most + 1)  # more than the size says: files of /proc have none
    if len(data) > most:
        raise UserError(f"{path}: is larger than {what} can be ({most:,} bytes)")
    return data
