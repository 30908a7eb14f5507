"""A topology in one line, as behind `-t`: `ring:6`, `small-world:12,software=prosody+ejabberd,seed=3`.

    kind[:servers][,key=value]…     a shape
    name or file[,key=value]…       a file, with other values than it says

The kind is one of the shapes; the keys are those of the shape, of `defaults` and `people`, `unlinked` and `name`. It
becomes the same data as a file would give, with columns as places, and is judged by the same rules. Behind a name or a
file each value holds for all servers or links, whatever the file says of one of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lab.declarations.links import LINK_FIELDS
from lab.declarations.manifest import Accounts
from lab.declarations.servers import MANIFESTS
from lab.topology import graph_files
from lab.topology.document import Document, Problem, Steps
from lab.topology.model import Defaults, PeopleSettings, list_keys
from lab.topology.shapes import KINDS
from lab.topology.words import find_nearest, list_choices, suggest

#: How names of topology files end.
SUFFIXES = (".yaml", ".yml", *graph_files.SUFFIXES)

_TOP = ("unlinked", "name")


@dataclass
class ShortDocument(Document):
    """Data from one line. Places are columns, the key's and the value's."""

    columns: dict[Steps, tuple[int, int]] = field(default_factory=dict)

    def where(self, path: Steps, *, key: bool = False) -> tuple[int, int]:
        """Line 0 and the column of the value at the path, or of the value that contains it."""
        while path and path not in self.columns:
            path = path[:-1]
        return 0, self.columns.get(path, (1, 1))[0 if key else 1]

    def show(self, path: Steps) -> str:
        """The key as it is written; nothing for the shape itself."""
        named = [step for step in path if step not in ("shape", "kind", "defaults", "people")]
        return str(named[0]) if named else ""

    def how_many(self, kind: str) -> str:
        """The number of servers is written behind a colon."""
        return f"say how many, as in {kind}:6"


def is_short(text: str) -> bool:
    """True if a text is meant as a shape and not as a file or a name."""
    head = re.split("[:,]", text, maxsplit=1)[0]
    return head in KINDS or (head != text and "/" not in head and not head.endswith(SUFFIXES))


def read(text: str) -> ShortDocument:
    """Parse one line. Its errors are in `problems`; nothing is raised."""
    document = ShortDocument(f"'{text}'")
    head, *settings = text.split(",")
    kind, colon, number = head.partition(":")
    shape: dict[str, object] = {"kind": kind}
    data: dict[str, object] = {"shape": shape}
    document.data = data
    document.columns[("shape", "kind")] = (1, 1)
    if colon:
        shape["servers"] = _scalar(number)
        document.columns[("shape", "servers")] = (len(kind) + 2, len(kind) + 2)
    _settings(document, data, kind, settings, len(head) + 2)
    return document


def read_overrides(text: str, file: str, shape: object) -> ShortDocument:
    """What stands behind the name or path `file`; `shape` is what the file says of its shape, if it has one.

    Its errors are in `problems`; nothing is raised.
    """
    document = ShortDocument(f"'{text}'")
    data: dict[str, object] = {}
    document.data = data
    kind = str(shape.get("kind")) if isinstance(shape, dict) else ""
    _settings(document, data, kind, text[len(file) + 1 :].split(","), len(file) + 2)
    return document


def _settings(document: ShortDocument, data: dict[str, object], kind: str, settings: list[str], column: int) -> None:
    for setting in settings:
        _setting(document, data, kind, setting, column)
        column += len(setting) + 1


def _setting(document: ShortDocument, data: dict[str, object], kind: str, setting: str, column: int) -> None:
    """One `key=value`: into the mapping where a file would have it."""
    key, equals, value = setting.strip().partition("=")
    column += len(setting) - len(setting.lstrip())
    place = document.source, 0, column, key
    shape_keys = [known for known in list_keys(KINDS[kind]) if known != "kind"] if kind in KINDS else []
    known = [*shape_keys, *list_keys(Defaults), *list_keys(PeopleSettings), *_TOP]
    if not equals or not key:
        document.problems.append(Problem(document.source, 0, column, "", f"'{setting}' must be key=value"))
        return
    if kind and kind not in KINDS and key not in known:
        return  # which keys there are depends on the kind, and that is reported already
    if key not in known:
        document.problems.append(Problem(*place, _unknown(kind, key, known)))
        return
    path = _find_place(key, shape_keys)
    if path in document.columns:
        document.problems.append(Problem(*place, "given twice: remove one of the two"))
        return
    document.columns[path] = (column, column + len(key) + 1)
    target = data if len(path) == 1 else data.setdefault(str(path[0]), {})
    if isinstance(target, dict):
        target[key] = _scalar(value)


def _find_place(key: str, shape_keys: list[str]) -> Steps:
    """Where a file would have a value with this key."""
    if key in shape_keys:
        return ("shape", key)
    if key in _TOP:
        return (key,)
    return ("people", key) if key in list_keys(PeopleSettings) else ("defaults", key)


def _unknown(kind: str, key: str, known: list[str]) -> str:
    if near := find_nearest(key, known):
        return f"unknown key, did you mean '{near}'?"
    if not kind:
        return f"unknown key{suggest(key, known)}"
    others = [name for name, shape in KINDS.items() if key in list_keys(shape)]
    if others:
        return f"a {kind} has no '{key}', but {list_choices(others)} {'has' if len(others) == 1 else 'have'}"
    return f"unknown key{suggest(key, known)}"


class OverriddenDocument(Document):
    """A file's data in which `overrides` hold instead; their places are columns of the one line, others the file's."""

    def __init__(self, file: Document, overrides: ShortDocument) -> None:
        super().__init__(file.source, file.data, file.root, [*file.problems, *overrides.problems])
        self.file, self.overrides = file, overrides
        if isinstance(file.data, dict) and isinstance(overrides.data, dict):
            for path in overrides.columns:
                _override(file.data, path, overrides.data)

    def add(self, path: Steps, message: str, *, key: bool = False) -> None:
        """Note what is wrong at a path, in the line or in the file."""
        if path not in self.overrides.columns:
            super().add(path, message, key=key)
            return
        self.overrides.add(path, message, key=key)
        self.problems.append(self.overrides.problems[-1])

    def where(self, path: Steps, *, key: bool = False) -> tuple[int, int]:
        """Line and column in the file; line 0 and the column for what stands in the one line."""
        if path in self.overrides.columns:
            return self.overrides.where(path, key=key)
        return self.file.where(path, key=key)


def _override(data: dict[str, object], path: Steps, given: dict[str, object]) -> None:
    """Put a value where the file has it for all servers and links, and take away what it says of one of them."""
    if len(path) == 1:
        data[str(path[0])] = given[str(path[0])]
        return
    section, key = str(path[0]), str(path[1])
    values, target = given[section], data.get(section)
    value = values[key] if isinstance(values, dict) else None
    if isinstance(target, dict):
        target[key] = value
    elif target is None:
        data[section] = {key: value}
    if section != "defaults":
        return
    for settings in _mappings(data.get("servers")):
        if not (key == "software" and _is_role(settings.get(key))):
            settings.pop(key, None)
    conditions = (
        (*(one.name for one in LINK_FIELDS), "forward", "backward") if key == "direct" and value is True else ()
    )
    for link in _mappings(data.get("links")):
        for each in (link, *_mappings([link.get("forward"), link.get("backward")])):
            each.pop(key, None)
        for condition in conditions:
            link.pop(condition, None)


def _mappings(section: object) -> list[dict[str, object]]:
    values = section.values() if isinstance(section, dict) else section if isinstance(section, list) else ()
    return [each for each in values if isinstance(each, dict)]


def _is_role(software: object) -> bool:
    """Whether a server is in the file for what no other software can do: it is a script, or a person runs it."""
    return isinstance(software, str) and software in MANIFESTS and MANIFESTS[software].accounts is Accounts.NONE


def _scalar(text: str) -> object:
    """What YAML would make of it: whole numbers, decimals, true and false, else text."""
    text = text.strip()
    if re.fullmatch(r"-?[0-9]+", text):
        return int(text)
    if re.fullmatch(r"-?[0-9]+\.[0-9]+", text):
        return float(text)
    return {"true": True, "false": False}.get(text, text)
