"""Writes what `xmpplab export` makes: a new folder, whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lab.errors import UserError
from lab.runtime.server_files import write_files
from lab.servers.software import File


def write_export(folder: Path, files: Sequence[File]) -> None:
    """Write files into a new folder (0700). Raises UserError if there is something of that name, or no way to make it.

    They are written beside it first: what is interrupted leaves no half of an export under its name.
    """
    if os.path.lexists(folder):
        raise UserError(f"{folder} is there already, and nothing is overwritten: give another folder with -o")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            write_files(made, tuple(files))
            made.rename(folder)
        except BaseException:
            shutil.rmtree(made)
            raise
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}") from None
