"""Unix sockets below paths that are longer than a socket's address may be."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

LONGEST_PATH = 107  # bytes (sockaddr_un, unix(7))


@contextlib.contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """An address for a unix socket at `path`, however long that is; it is valid within the block."""
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
