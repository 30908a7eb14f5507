"""Declared faults as they are written: in `faults:` of a topology, in a file of their own, in a request.

    faults:
      - {name: storm, action: partition, groups: [[a, b], [c]], how: reset, at: 5s, duration: 20s}
      - {action: conditions, selector: {link: [a, b]}, direction: to, latency: 80ms, at: 10s}
      - {action: kill, selector: {software: ejabberd}, mode: one, every: 30s, restart: 5s}

`read` says all that is wrong with the values, `check` what is wrong with them on one topology; each calls `add` with
the path of what is wrong, from the list of faults on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from lab.declarations import units
from lab.declarations.fault import DURATION_SCHEMA, SERVERS_SCHEMA, FaultDeclaration, FaultTarget, link_ends
from lab.declarations.faults import FAULTS
from lab.errors import NotApplicable, UserError
from lab.topology.fault_targets import Target, find_targets, split_person
from lab.topology.spec import FaultMode, FaultSpec, Topology
from lab.topology.words import list_choices, suggest

MAX_FAULTS = 1000

Steps = tuple[str | int, ...]  # as in a document, which the lab's service has no library to read

#: Every action that can be declared, by its name.
ACTIONS: dict[str, FaultDeclaration] = {one.name: one for one in FAULTS.values() if one.target is not None}

SELECTORS: dict[FaultTarget, tuple[str, ...]] = {
    FaultTarget.GROUPS: (),
    FaultTarget.LINKS: ("link", "server", "software", "group"),
    FaultTarget.SERVERS: ("server", "software", "group"),
    FaultTarget.PEOPLE: ("person",),
}
_ALWAYS = ("name", "action", "at", "duration", "every", "seed")
_CHOICE = ("selector", "mode", "value")
_WITH_VALUE = (FaultMode.FIXED, FaultMode.FIXED_PERCENT, FaultMode.RANDOM_MAX_PERCENT)


class Add(Protocol):
    """Called with each problem: its path, what is wrong and what to change."""

    def __call__(self, path: Steps, message: str, *, key: bool = False) -> None:
        """With `key` the place is that of the key, not of its value."""


def read(data: object, add: Add) -> tuple[FaultSpec, ...]:
    """The faults of a list; those that are wrong are left out."""
    if not isinstance(data, list):
        add((), "must be a list: write `faults: [{action: partition, groups: [[a]], at: 5s}]`")
        return ()
    if len(data) > MAX_FAULTS:
        add((), f"has {len(data)} faults: at most {MAX_FAULTS}")
        return ()
    found: dict[str, FaultSpec] = {}
    for index, entry in enumerate(data):
        spec = _FaultReader(entry, (index,), add).read(f"-{index + 1}")
        if spec is None:
            continue
        if spec.name in found:
            add((index, "name"), f"another fault is called {spec.name!r} already: give one of them another name")
        found[spec.name] = spec
    return tuple(found.values())


def read_one(data: Mapping[str, Any]) -> FaultSpec:
    """A fault as a script or the command line gives it. Raises UserError with all that is wrong."""
    wrong: list[str] = []
    spec = _FaultReader(dict(data), (), _listed(wrong)).read("")
    if wrong or spec is None:
        action = data.get("action")
        raise UserError("\n".join(f"{action}: {line}" for line in wrong))
    return spec


def check(spec: FaultSpec, topology: Topology, add: Add) -> None:
    """Say what of a fault cannot be on this topology. Raises NotApplicable if there is nothing that it could act on."""
    known = [server.name for server in topology.servers]
    before = 0

    def named(path: Steps, name: str) -> None:
        nonlocal before
        if name not in known:
            before += 1
            add(path, f"no server {name!r} in this topology{suggest(name, known)}")

    for position, group in enumerate(spec.fields.get("groups", ()) if _target(spec) is FaultTarget.GROUPS else ()):
        for place, name in enumerate(group):
            named(("groups", position, place), name)
    for key in ("link", "server", "group"):
        for name in spec.selector.get(key, ()):
            named(("selector", key), name)
    for name in spec.selector.get("person", ()):
        named(("selector", "person"), split_person(name)[1])
    if before:
        return
    if "link" in spec.selector and topology.link(*spec.selector["link"]) is None:
        a, b = spec.selector["link"]
        add(("selector", "link"), f"{a} and {b} are not linked")
        return
    try:
        found = find_targets(spec, topology)
        if both := [" - ".join(one) for one in found if _carries_both(spec, topology, one)]:
            add(("direction",), f"{', '.join(both)}: one stream may carry both directions (XEP-0288): leave it out")
    except UserError as error:
        add(("groups",) if _target(spec) is FaultTarget.GROUPS else ("selector",), str(error))


def _carries_both(spec: FaultSpec, topology: Topology, ends: Target) -> bool:
    """Whether a fault names one direction of a link, on which one stream may carry both."""
    if spec.fields.get("direction", "both") == "both" or _target(spec) is not FaultTarget.LINKS:
        return False
    return all(server.has("bidi") for server in topology.servers if server.name in ends)


def check_all(specs: Sequence[FaultSpec], topology: Topology) -> None:
    """Raise UserError with all that cannot be on this topology, in the faults' names."""
    wrong: list[str] = []
    for spec in specs:
        try:
            check(spec, topology, _listed(wrong, f"{spec.name}: "))
        except NotApplicable as error:
            wrong.append(f"{spec.name}: {error}")
    if wrong:
        raise UserError("\n".join(wrong))


def refuse_people(specs: Iterable[FaultSpec], why: str) -> None:
    """Raise UserError, with the reason, if any of these acts on the people of a scenario."""
    if found := [spec.name for spec in specs if _target(spec) is FaultTarget.PEOPLE]:
        raise UserError(f"{', '.join(found)}: acts on the devices of people: {why}")


def to_json(spec: FaultSpec) -> dict[str, Any]:
    """The fault as it can be written; the inverse of `read_one`."""
    written: dict[str, Any] = {"name": spec.name, "action": spec.action, **spec.fields, "seed": spec.seed}
    if spec.selector:
        written["selector"] = {key: list(value) for key, value in spec.selector.items()}
    if spec.mode is not FaultMode.ALL:
        written["mode"] = str(spec.mode)
    if spec.mode in _WITH_VALUE:
        written["value"] = spec.value
    for key, value in (("at", spec.at), ("duration", spec.duration), ("every", spec.every)):
        if value:
            written[key] = f"{value:.9f}s"
    return written


def schema() -> dict[str, Any]:
    """JSON Schema of a list of faults."""
    return {"type": "array", "maxItems": MAX_FAULTS, "items": {"anyOf": [_schema(one) for one in ACTIONS.values()]}}


def definitions() -> dict[str, dict[str, Any]]:
    """What several actions have in common, by the names that it has in the schemas."""
    selectors = {f"{target}-selector": _selector_schema(target) for target, keys in SELECTORS.items() if keys}
    modes = {"enum": [str(mode) for mode in FaultMode]}
    return {"duration": dict(DURATION_SCHEMA), "names": _NAMES_SCHEMA, "fault-mode": modes, **selectors}


_KEYS = {
    "link": "The two servers of one link.",
    "server": "A server, or several.",
    "software": "Servers with this software, such as ejabberd or ejabberd@24.12.",
    "group": "Several servers; of links those that leave the group.",
    "person": "People of the scenario, such as alice@a: a name and a server.",
}
_NAMES_SCHEMA: dict[str, Any] = {"anyOf": [{"type": "string"}, SERVERS_SCHEMA]}


def _selector_schema(target: FaultTarget) -> dict[str, Any]:
    pair = {**SERVERS_SCHEMA, "minItems": 2, "maxItems": 2}
    keys = {key: {**(pair if key == "link" else _NAMES_SCHEMA), "description": _KEYS[key]} for key in SELECTORS[target]}
    return {"type": "object", "properties": keys, "additionalProperties": False}


def _schema(declared: FaultDeclaration) -> dict[str, Any]:
    assert declared.target is not None
    properties: dict[str, Any] = {
        "action": {"const": declared.name, "description": declared.about},
        "name": {"type": "string"},
        "at": DURATION_SCHEMA,
        "every": DURATION_SCHEMA,
        "seed": {"type": "integer"},
    }
    if declared.lasts:
        properties |= {name: DURATION_SCHEMA for name in ("duration", declared.duration_alias) if name}
    if SELECTORS[declared.target]:
        properties |= {
            "selector": _selector_schema(declared.target),
            "mode": {"enum": [str(mode) for mode in FaultMode]},
            "value": {"type": "integer", "minimum": 1},
        }
    for one in declared.fields:
        for name in (one.name, *one.aliases):
            properties[name] = {**(one.schema or {}), "description": one.about}
    return {"type": "object", "properties": properties, "required": ["action"], "additionalProperties": False}


def _target(spec: FaultSpec) -> FaultTarget | None:
    return ACTIONS[spec.action].target


def _listed(wrong: list[str], prefix: str = "") -> Add:
    """Problems as lines that name the field."""

    def add(path: Steps, message: str, *, key: bool = False) -> None:
        place = next((str(step) for step in reversed(path) if isinstance(step, str)), "")
        wrong.append(f"{prefix}{place}: {message}" if place else f"{prefix}{message}")

    return add


class _FaultReader:
    """Reads one fault."""

    def __init__(self, data: object, path: Steps, add: Add) -> None:
        self._data, self._path, self._add, self._good = data, path, add, True

    def read(self, suffix: str) -> FaultSpec | None:
        """The fault, None if something is wrong with it. One without a name has that of its action and the suffix."""
        data = self._data
        if not isinstance(data, dict):
            self._wrong((), "must be a mapping: write `{action: partition, groups: [[a]], at: 5s}`")
            return None
        action = data.get("action")
        if not isinstance(action, str) or action not in ACTIONS:
            said = f"there is no action {action!r}: there are" if action is not None else "`action` is missing: one of"
            near = suggest(str(action), ACTIONS, otherwise="")
            where = () if action is None else ("action",)
            self._wrong(where, f"{said} {list_choices(ACTIONS)}{near}")
            return None
        declared = ACTIONS[action]
        assert declared.target is not None
        common = [*_ALWAYS, *(_CHOICE if SELECTORS[declared.target] else ())]
        common += [declared.duration_alias] if declared.duration_alias else []
        fields = self._fields(declared, {name: value for name, value in data.items() if name not in common}, common)
        name = self._name(data.get("name", f"{action}{suffix}"))
        chooses = bool(SELECTORS[declared.target])
        selector = self._selector(data.get("selector", {}), SELECTORS[declared.target]) if chooses else {}
        mode, value = self._mode(data) if chooses else (FaultMode.ALL, 1)
        at = self._time(data, "at") or 0.0
        duration, every = self._times(declared, data)
        seed = data.get("seed", 0)
        if isinstance(seed, bool) or not isinstance(seed, int):
            self._wrong(("seed",), f"must be a whole number, not {seed!r}")
        if not self._good:
            return None
        return FaultSpec(name, action, fields, selector, mode, value, at, duration, every, seed)

    def _wrong(self, path: Steps, message: str, *, key: bool = False) -> None:
        self._good = False
        self._add((*self._path, *path), message, key=key)

    def _name(self, name: object) -> str:
        if not isinstance(name, str) or not name or not name.isprintable() or len(name) > 63:
            self._wrong(("name",), f"{name!r} is no name: use at most 63 printable characters")
        return str(name)

    def _fields(self, declared: FaultDeclaration, given: dict[str, Any], common: list[str]) -> dict[str, Any]:
        known = [name for one in declared.fields for name in (one.name, *one.aliases)]
        given, misspelt = dict(given), False
        for unknown in [name for name in given if name not in known]:
            del given[unknown]
            every = [*known, *common]
            misspelt = True
            self._wrong((unknown,), f"{declared.name} has no such field{suggest(unknown, every)}", key=True)
        for name, why in declared.values(given)[1]:
            if misspelt and name not in given:
                continue  # what is missing has another name here
            self._wrong((name,) if name else (), why)
        return given

    def _selector(self, given: object, known: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        if not isinstance(given, dict):
            self._wrong(("selector",), "must be a mapping: write `selector: {server: a}`")
            return {}
        found = {}
        for key, value in given.items():
            if key not in known:
                self._wrong(("selector", key), f"cannot be selected by{suggest(key, known)}", key=True)
                continue
            try:
                found[key] = _selected(key, value)
            except UserError as error:
                self._wrong(("selector", key), str(error))
        return found

    def _mode(self, data: dict[str, Any]) -> tuple[FaultMode, int]:
        given, value = data.get("mode", "all"), data.get("value", 1)
        if given not in tuple(FaultMode):
            self._wrong(("mode",), f"{given!r} is none of {list_choices(FaultMode)}")
            return FaultMode.ALL, 1
        mode = FaultMode(given)
        if mode in _WITH_VALUE and "value" not in data:
            self._wrong(("mode",), f"`{mode}` needs a `value`")
        if "value" in data and mode not in _WITH_VALUE:
            self._wrong(("value",), f"only {list_choices(_WITH_VALUE)} have a value: remove it", key=True)
        most = 100 if mode in (FaultMode.FIXED_PERCENT, FaultMode.RANDOM_MAX_PERCENT) else 10**6
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            self._wrong(("value",), f"must be a whole number from 1 to {most}, not {value!r}")
            return mode, 1
        return mode, value

    def _times(self, declared: FaultDeclaration, data: dict[str, Any]) -> tuple[float | None, float | None]:
        written = [name for name in ("duration", declared.duration_alias) if name and name in data]
        if len(written) > 1:
            self._wrong((written[1],), f"is the same as {written[0]}: remove one of the two", key=True)
        if written and not declared.lasts:
            self._wrong((written[0],), f"{declared.name} happens once and does not last: remove it", key=True)
        duration = self._time(data, written[0], least=0.001) if written else None
        every = self._time(data, "every", least=0.01) if "every" in data else None
        if every is not None and declared.lasts and self._good:
            if duration is None:
                name = declared.duration_alias or "duration"
                self._wrong(("every",), f"needs a `{name}`: how long it lasts each time")
            elif duration >= every:
                self._wrong((written[0],), "must be shorter than `every`: it would never be healed")
        return duration, every

    def _time(self, data: dict[str, Any], name: str, *, least: float = 0.0) -> float | None:
        if name not in data:
            return None
        try:
            found = units.parse_duration(data[name])
        except UserError as error:
            self._wrong((name,), str(error))
            return None
        if found < least:
            self._wrong((name,), f"must be at least {units.format_duration(least)}")
            return None
        return found


def _selected(key: str, value: object) -> tuple[str, ...]:
    """What one key of a selector names. Raises UserError."""
    if key == "link":
        return link_ends(value)
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else ()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise UserError(f"{value!r} must be a name, or a list of names")
    if key == "person":
        for name in names:
            split_person(name)
    return names
