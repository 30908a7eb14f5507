"""The store of a device's keys, sessions and trust: one JSON file, 0600, replaced as a whole.

python-omemo stores a dozen values per message. They become visible together, by `commit`: a process that dies in
between leaves the state before the message, never half of it. Nothing may leave on the wire before the commit.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from omemo.storage import Just, Maybe, Nothing, Storage
from omemo.types import JSONType

from lab.errors import UserError

FILE = "omemo.json"


class KeyStore(Storage):
    """The values of one device; without a folder they live in `memory`, a dictionary of the caller's."""

    def __init__(self, account: str, folder: Path | None, memory: dict[str, Any]) -> None:
        """Raises UserError where the file is not one of ours, or another account's."""
        super().__init__(disable_cache=True)
        self.account = account
        self._path = None if folder is None else folder / FILE
        self._values: dict[str, JSONType] = memory if self._path is None else _read(self._path, account)
        self._changed = False

    def commit(self) -> None:
        """Write what has changed since the last time."""
        if self._changed and self._path is not None:
            _write(self._path, {"account": self.account, "values": self._values})
        self._changed = False

    async def _load(self, key: str) -> Maybe[JSONType]:
        return Just(self._values[key]) if key in self._values else Nothing()

    async def _store(self, key: str, value: JSONType) -> None:
        self._values[key] = value
        self._changed = True

    async def _delete(self, key: str) -> None:
        self._changed |= self._values.pop(key, None) is not None


def _read(path: Path, account: str) -> dict[str, JSONType]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: keys cannot be read ({error}); delete the file to begin with new ones") from error
    if not isinstance(found, dict) or found.get("account") != account:
        raise UserError(f"{path} does not hold keys of {account}: give each device a folder of its own")
    values: dict[str, JSONType] = found["values"]
    return values


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor, for its mode
        json.dump(content, file, separators=(",", ":"))
    new.replace(path)
