"""Backups of a device's keys, sessions and trust: all that its encryption has stored, as it was at one moment."""

from __future__ import annotations

import os
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import UserError


@dataclass(frozen=True)
class KeyBackup:
    """What was stored: files of the device's folder, or the values of one without a folder."""

    files: dict[str, bytes]
    values: dict[str, Any]


class KeyBackups:
    """The backups of one device. It is not connected while one is taken or restored: nothing changes then."""

    def __init__(self) -> None:
        self._taken: dict[str, KeyBackup] = {}

    def take(self, folder: Path | None, memory: dict[str, Any]) -> str:
        """Copy what is stored now; the name of the backup."""
        found = sorted(folder.iterdir()) if folder is not None and folder.exists() else []
        name = str(len(self._taken) + 1)
        self._taken[name] = KeyBackup({one.name: one.read_bytes() for one in found if one.is_file()}, deepcopy(memory))
        return name

    def restore(self, name: str, folder: Path | None, memory: dict[str, Any]) -> None:
        """Store what this backup has, and nothing else. Raises UserError if there is no such backup."""
        if name not in self._taken:
            raise UserError(f"restore: there is no backup {name!r} of this device: take one with back_up first")
        backup = self._taken[name]
        memory.clear()
        memory.update(deepcopy(backup.values))
        if folder is not None:
            _put_back(backup.files, folder)


def _put_back(files: dict[str, bytes], folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for one in folder.iterdir():
        if one.is_file():
            one.unlink()
    for name, content in files.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, for its mode
            file.write(content)
