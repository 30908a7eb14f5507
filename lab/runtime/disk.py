"""Whether the disk of a lab's folder has room for its servers' files."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab.errors import MissingError

#: Bytes of one server's files until it is ready: certificates, databases, logs. Prosody needs 0.2 MB, ejabberd 0.5 MB.
EACH = 1 << 20
#: Bytes below which a disk is full: a server's next log lines do not fit.
LEAST = 16 << 10


def check_room(folder: Path, servers: int) -> None:
    """Raises MissingError, with figures, if the files of so many servers do not fit into a folder, which must exist."""
    free, need = shutil.disk_usage(folder).free, servers * EACH
    if free < need:
        raise MissingError(
            f"{folder}: the disk has {free / 1e6:.1f} MB free, and {servers} servers need {need / 1e6:.0f} MB: "
            "make room there, or set XMPPLAB_HOME to a folder on another disk"
        )


def is_full(folder: Path) -> bool:
    """Whether nothing more fits on the disk of a folder."""
    return shutil.disk_usage(folder).free < LEAST
