"""The store of a device's keys, sessions and trust: one JSON file, 0600, replaced as a whole.

python-omemo stores a dozen values per message. They become visible together, by `commit`: a process that dies in
between leaves the state before the message, never half of it. Nothing may leave on the wire before the commit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from omemo.storage import Maybe, Nothing, Storage
from omemo.types import JSONType

from lab.errors import UserError

FILE = "omemo.json"

_CONTAINERS = (list, dict)

T = TypeVar("T")
Default = TypeVar("Default")
Mapped = TypeVar("Mapped")


class StoredValue(Maybe[T]):
    """A value that is stored."""

    __slots__ = ("_value",)
    is_just, is_nothing = True, False

    def __init__(self, value: T) -> None:
        self._value = value

    def from_just(self) -> T:
        """The value."""
        return self._value

    def maybe(self, default: Default) -> T | Default:
        """The value."""
        return self._value

    def fmap(self, function: Callable[[T], Mapped]) -> StoredValue[Mapped]:
        """What the function makes of the value."""
        return StoredValue(function(self._value))


class KeyStore(Storage):
    """The values of one device; without a folder they live in `memory`, a dictionary of the caller's."""

    def __init__(self, account: str, folder: Path | None, memory: dict[str, Any]) -> None:
        """Raises UserError where the file is not one of ours, or another account's."""
        super().__init__(disable_cache=True)
        self.account = account
        self._path = None if folder is None else folder / FILE
        self._values: dict[str, JSONType] = memory if self._path is None else read_values(self._path, account)
        self._changed = False

    def commit(self) -> None:
        """Write what has changed since the last time."""
        if self._changed and self._path is not None:
            write_values(self._path, self.account, self._values)
        self._changed = False

    # The library asks for sixty values per message: what it would do between `load` and `_load` is left out.

    async def load(self, key: str) -> Maybe[JSONType]:
        """The value of a key."""
        try:
            value = self._values[key]
        except KeyError:
            return Nothing()
        return StoredValue(value.copy() if type(value) in _CONTAINERS else value)  # type: ignore[union-attr]

    async def _load(self, key: str) -> Maybe[JSONType]:
        return await self.load(key)

    async def store(self, key: str, value: JSONType) -> None:
        """Store a value."""
        self._values[key] = value
        self._changed = True

    async def _store(self, key: str, value: JSONType) -> None:
        await self.store(key, value)

    async def _delete(self, key: str) -> None:
        self._changed |= self._values.pop(key, None) is not None


def read_values(path: Path, account: str) -> dict[str, Any]:
    """What was written for this account, nothing if nothing was. Raises UserError where it is not one of ours."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: keys cannot be read ({error}); delete the file to begin with new ones") from error
    if not isinstance(found, dict) or found.get("account") != account:
        raise UserError(f"{path} does not hold keys of {account}: give each device a folder of its own")
    values: dict[str, Any] = found["values"]
    return values


def write_values(path: Path, account: str, values: dict[str, Any]) -> None:
    """Write these in the place of what is there, at once."""
    content = {"account": account, "values": values}
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor, for its mode
        file.write(json.dumps(content, separators=(",", ":")))  # json.dump takes three times as long
    new.replace(path)
