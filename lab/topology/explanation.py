"""What pydantic found wrong, in words that say what to change, with its position.

pydantic's locations carry steps that are not in the text (the tag of a union, "[key]", the index of what was split):
the tag is cut out, the others are dropped by walking the data along them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from lab.topology.document import Document, Steps
from lab.topology.model import (
    Defaults,
    LinkSettings,
    PeopleSettings,
    ServerSettings,
    TopologyFile,
    find_section,
    list_keys,
)
from lab.topology.shape import Misfit
from lab.topology.shapes import KINDS
from lab.topology.words import find_nearest, list_choices, suggest

Section = Callable[[Steps, object], type[BaseModel] | None]

# Where a key belongs that was found elsewhere.
_HOMES: dict[str, type[BaseModel]] = {
    "a link (`links`)": LinkSettings,
    "a server (`servers`)": ServerSettings,
    "the top of the file": TopologyFile,
    "`defaults`": Defaults,
    "`people`": PeopleSettings,
}

_MAPPINGS = {
    "servers": "must be a mapping of names to settings: write `servers: {a: {}, b: {}}`",
    "links": "must be a list: write `links: [{between: [a, b]}]`",
    "people": "must be a mapping: write `people: {placement: each}`",
    "shape": "must be a mapping: write `shape: {kind: ring, servers: 6}`",
}


def explain(document: Document, error: ValidationError, find: Section = find_section) -> None:
    """Add a problem to the document for each error."""
    for each in error.errors(include_url=False, include_context=True):
        _one(document, each, find)


def _one(document: Document, error: Mapping[str, Any], find: Section) -> None:
    kind, loc = error["type"], _untagged(error["loc"])
    path, value = _walk(document.data, loc)
    if isinstance(misfit := error.get("ctx", {}).get("error"), Misfit):
        path = (*path, misfit.field)
    if kind == "extra_forbidden":
        document.add(path, _unknown_key(document, path, find), key=True)
    elif kind == "missing":
        document.add(path, f"`{loc[-1]}` is missing: {_how(document, str(loc[-1]), value)}")
    elif kind == "union_tag_not_found":
        document.add(path, f"`kind` is missing: one of {list_choices(KINDS)}")
    elif kind == "union_tag_invalid":
        tag = str(error["ctx"]["tag"])
        document.add((*path, "kind"), f"unknown shape '{tag}'{suggest(tag, KINDS)}")
    elif value is None and _in_data(document.data, path):
        document.add(path, "has no value: give one, or remove the key", key=True)
    else:
        document.add(path, _wording(error, path, value), key=loc[-1:] == ("[key]",))


def _untagged(loc: Steps) -> Steps:
    """Without the kind of the shape, which pydantic puts behind "shape" for all that is inside."""
    return (*loc[:1], *loc[2:]) if loc[:1] == ("shape",) else loc


def _walk(data: object, loc: Steps) -> tuple[Steps, object]:
    """The steps of a location that lead through the data, and the value there."""
    path: Steps = ()
    for step in loc:
        known = range(len(data)) if isinstance(data, list) else data if isinstance(data, dict) else ()
        if step in known:
            data = data[step]  # type: ignore[index]  # a list with its index, or a mapping with its key
            path = (*path, step)
    return path, data


def _in_data(data: object, path: Steps) -> bool:
    return bool(path) and _walk(data, path)[0] == path


def _unknown_key(document: Document, path: Steps, find: Section) -> str:
    name, parent = str(path[-1]), path[:-1]
    model = find(parent, _walk(document.data, parent)[1])
    known = list(list_keys(model)) if model is not None else []
    if near := find_nearest(name, known):
        return f"unknown key, did you mean '{near}'?"
    home = next((home for home, other in _HOMES.items() if find is find_section and name in list_keys(other)), None)
    if home is not None:
        return f"'{name}' does not belong here, but to {home}"
    if name == "<<":
        return "merge keys are not supported: put what all share into `defaults`"
    return f"unknown key, known here: {list_choices(known)}" if known else "unknown key"


def _how(document: Document, key: str, value: object) -> str:
    if key == "servers" and isinstance(value, dict):
        return document.how_many(str(value.get("kind")))
    return {"between": "write `between: [a, b]`", "name": "give it a name"}.get(key, "add it")


def _wording(error: Mapping[str, Any], path: Steps, value: object) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "enum":
        known = re.findall(r"'([^']*)'", context["expected"])
        if near := find_nearest(str(value), known):
            return f"{_shown(value)} is not known, did you mean '{near}'? It is one of {list_choices(known)}"
        return f"must be one of {list_choices(known)}, not {_shown(value)}"
    if kind in ("dict_type", "model_type", "model_attributes_type", "tuple_type"):
        return _collection(kind, path, value)
    if kind in ("too_short", "string_too_short"):
        return "is empty: give at least one, or remove the key"
    if kind == "too_long":
        return f"has {context['actual_length']}, more than a lab can hold: at most {context['max_length']}"
    bounds = {"greater_than_equal": ("at least", "ge"), "less_than_equal": ("at most", "le")}
    if kind in bounds:
        words, bound = bounds[kind]
        return f"must be {words} {context[bound]:g}, not {_shown(value)}"
    wanted = {"int": "a whole number", "float": "a number", "bool": "true or false", "string": "text"}
    expected = wanted.get(kind.partition("_")[0], "")
    hint = f": write '{value}' in quotes" if expected == "text" and isinstance(value, int | float) else ""
    return f"must be {expected}, not {_shown(value)}{hint}" if expected else str(error["msg"])


def _collection(kind: str, path: Steps, value: object) -> str:
    name = path[-1] if path else ""
    if not path:
        return f"must be a mapping with `servers` and `links`, or `shape`, not {_shown(value)}"
    if path == ("links", name) and isinstance(value, list):
        return "must be a mapping: write `{between: [a, b]}`"
    if str(name) in _MAPPINGS:
        return _MAPPINGS[str(name)]
    wanted = "a list" if kind == "tuple_type" else "a mapping"
    example = f"`{name}: [first, second]`" if kind == "tuple_type" else f"`{name}: {{key: value}}`"
    place = f": write {example}" if isinstance(name, str) else ": write `{between: [a, b]}`"
    return f"must be {wanted}, not {_shown(value)}{place}"


def _shown(value: object) -> str:
    """A value as the file has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return f"'{value}'" if isinstance(value, str) else str(value)
