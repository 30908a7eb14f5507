"""Files that a person names, read without waiting for what never ends, and decoded with the place of what is wrong.

`read_json` is the one place where JSON files of runs, loads and studies become data: their types are declared beside
who writes them (dataclasses, TypedDicts), and a file that does not fit is an error with file, line and field.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from lab.errors import UserError

T = TypeVar("T")

#: The path of a value in JSON: keys and indices.
Steps = Sequence[str | int]
#: Finds what does not fit together in a decoded value: where, and what is wrong; None if all fits.
Check = Callable[[T], tuple[Steps, str] | None]

MAX_JSON = 1 << 30  # bytes: the plan of 1000 servers has 6 MB, the result of a load over a day 100 MB

#: The largest number in such a file: what is computed of two of them is finite as well.
LARGEST, _DIGITS = 1e30, 30


def read_regular(path: Path, most: int, what: str) -> bytes:
    """The content of a regular file of at most `most` bytes; `what` it is to be is named in errors: "a topology".

    Raises UserError for anything else, OSError where it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # without O_NONBLOCK a FIFO would wait
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise UserError(f"{path}: cannot be read: it is a folder")
        if not stat.S_ISREG(mode):
            raise UserError(f"{path}: is no regular file: save {what} in one")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(most + 1)  # more than the size says: files of /proc have none
    finally:
        os.close(descriptor)
    if len(data) > most:
        raise UserError(f"{path}: is larger than {what} can be ({most:,} bytes)")
    return data


def read_json(path: Path, kind: type[T], what: str, version: int | None = None, check: Check[T] | None = None) -> T:
    """The JSON of a file as a value of a declared type: a dataclass, a TypedDict, a dictionary of these.

    With `version` a file that names another one is refused for that alone; `check` sees the decoded value.

    Raises UserError as `file:line: field: what is wrong`, FileNotFoundError or NotADirectoryError without a file.
    """
    return decode_json(read_text(path, what), kind, str(path), version=version, check=check)


def read_text(path: Path, what: str) -> str:
    """The text of a regular file. Raises UserError, and FileNotFoundError or NotADirectoryError without one."""
    try:
        return read_regular(path, MAX_JSON, what).decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: this is not UTF-8 text (byte {error.start}): the file is damaged") from None
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def decode_json(
    text: str, kind: type[T], place: str, line: int = 1, version: int | None = None, check: Check[T] | None = None
) -> T:
    """As `read_json` for a text that stands at `place`, its first line being `line`."""
    from pydantic import ValidationError

    data = parse_json(text, place, line)
    if version is not None and isinstance(data, dict) and data.get("version", version) != version:
        other = f"of version {data['version']!r}; this lab reads version {version}"
        raise error_at(text, place, ("version",), other, line)
    try:
        decoded: T = _adapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        steps = _steps(data, first["loc"], missing=first["type"] == "missing")
        raise error_at(text, place, steps, first["msg"] + _DAMAGED, line) from None
    if check is not None and (found := check(decoded)) is not None:
        raise error_at(text, place, found[0], found[1] + _DAMAGED, line)
    return decoded


def error_at(text: str, place: str, steps: Steps, what: str, line: int = 1) -> UserError:
    """The error about the value at a path of the JSON `text`: `place:line: path: what`."""
    where = ".".join(map(str, steps)) or "the whole"
    return UserError(f"{place}:{line + _lines_before(text, steps)}: {where}: {what}")


def _steps(data: Any, location: Steps, *, missing: bool) -> Steps:
    """Pydantic's location without the names of types that it has there, too; a key that is missing is its last."""
    steps: list[str | int] = []
    for step in location:
        within = data if isinstance(data, dict) else dict(enumerate(data)) if isinstance(data, list) else {}
        if step in within:
            steps.append(step)
            data = within[step]
    return [*steps, location[-1]] if missing else steps


def parse_json(text: str, place: str, line: int = 1) -> Any:
    """JSON as RFC 8259 has it, without NaN, and with numbers up to LARGEST. Raises UserError with the line."""

    def refuse(word: str) -> Any:
        found = re.search(rf"(?<![\w\"]){re.escape(word)}", text)
        before = text.count("\n", 0, found.start()) if found else 0
        raise UserError(f"{place}:{line + before}: {word[:20]} is no number that can be: the file is damaged")

    def whole(word: str) -> int:
        return int(word) if len(word.lstrip("-")) <= _DIGITS else refuse(word)

    def decimal(word: str) -> float:
        return found if abs(found := float(word)) <= LARGEST else refuse(word)

    try:
        return json.loads(text, parse_constant=refuse, parse_int=whole, parse_float=decimal)
    except json.JSONDecodeError as error:
        raise UserError(f"{place}:{line + error.lineno - 1}: not JSON ({error.msg}): the file is damaged") from None
    except (ValueError, RecursionError) as error:  # a number of 5000 digits, a thousand brackets
        raise UserError(f"{place}:{line}: not JSON that can be read ({error}): the file is damaged") from None


_DAMAGED = ": the file is damaged, or another version of xmpplab wrote it"
_adapters: dict[Any, Any] = {}  # by type: making one takes milliseconds


def _adapter(kind: Any) -> Any:
    if kind not in _adapters:
        from pydantic import TypeAdapter  # costs 0.1 s, and not every verb reads such files

        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def _lines_before(text: str, steps: Steps) -> int:
    """Line feeds before the value at a path, or before the nearest value that contains it."""
    decoder, place = json.JSONDecoder(), _space(text, 0)
    for step in steps:
        found = _child(decoder, text, place, step)
        if found is None:
            break
        place = found
    return text.count("\n", 0, place)


def _child(decoder: json.JSONDecoder, text: str, place: int, step: str | int) -> int | None:
    """Where the value behind a key, or at an index, begins; None if there is none."""
    opening, place, index = text[place], _space(text, place + 1), 0
    while opening in "{[" and text[place] not in "}]":
        name: Any = index
        if opening == "{":
            name, place = decoder.raw_decode(text, place)
            place = _space(text, _space(text, place) + 1)  # behind the colon
        if name == step:
            return place
        _, place = decoder.raw_decode(text, place)
        place = _space(text, place)
        if text[place] == ",":
            place = _space(text, place + 1)
        index += 1
    return None


def _space(text: str, place: int) -> int:
    while place < len(text) and text[place] in " \t\r\n":
        place += 1
    return place
