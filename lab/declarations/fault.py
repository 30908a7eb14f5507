"""What is declared of a fault: a `FaultDeclaration`, one for each file of lab/declarations/faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lab.declarations import units
from lab.declarations.effects import Effect
from lab.errors import UserError

#: What describes a fault in a history, as JSON has it.
Plain = str | int | float | bool | None

#: What a fault acts on: directions of links (source and target), servers (one name each), people (name and server).
Targets = Sequence[tuple[str, ...]]

REQUIRED = object()

DURATION_SCHEMA: Mapping[str, Any] = {"anyOf": [{"type": "string", "pattern": units.DURATION_PATTERN}, {"const": 0}]}
SERVERS_SCHEMA: Mapping[str, Any] = {"type": "array", "items": {"type": "string"}, "minItems": 1}


def _same(value: Any) -> Any:
    return value


class FaultTarget(StrEnum):
    """What a fault is declared for."""

    GROUPS = "groups"  # every link between two of its `groups` of servers
    LINKS = "links"  # the links that its `selector` chooses
    SERVERS = "servers"  # the servers that its `selector` chooses
    PEOPLE = "people"  # the people of a scenario that its `selector` names


@dataclass(frozen=True, kw_only=True)
class FaultField:
    """One parameter of a fault."""

    name: str
    about: str  # a sentence
    read: Callable[[Any], Any]  # the value of what a script, a file or a command line gives. Raises UserError
    plain: Callable[[Any], Plain] = _same  # that value for the history
    unit: str = ""  # of a number in the history
    default: Any = REQUIRED  # as given, not as read
    aliases: tuple[str, ...] = ()  # other names that files may use
    schema: Mapping[str, Any] | None = None  # JSON schema of what files give
    drops_packets: bool = False  # it needs the kernel's packet filter: refused where there is none, listed by `doctor`


@dataclass(frozen=True, kw_only=True)
class FaultDeclaration:
    """A fault. Its code is the module of the same name in lab/faults."""

    name: str  # the action in files; scripts import it from lab.faults, with `_` for `-`
    about: str  # a sentence: what happens
    fields: tuple[FaultField, ...]
    #: Whether it acts on the route between two servers, by its fields in the history. None: where it names one.
    acts_on: Callable[[Mapping[str, Plain], str, str], bool] | None = None
    #: What it is declared for in files and on the command line. None: only scripts inject it.
    target: FaultTarget | None = None
    #: What it does to these targets, by the values of its fields.
    effects: Callable[[Mapping[str, Any], Targets], Sequence[Effect]] | None = None
    lasts: bool = True  # False: it happens once, and there is nothing to heal
    pulses: Callable[[Mapping[str, Any]], tuple[float, float]] | None = None  # seconds on and off, while it lasts
    by_holder: bool = False  # the process that holds the lab carries it out, on each runtime
    duration_alias: str = ""  # another name of `duration`
    check: Callable[[Mapping[str, Any]], tuple[str, str] | None] | None = None  # the field that is wrong, and why

    def read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The value of every field. Raises one UserError with a line for each field that is wrong."""
        values, wrong = self.values(given)
        if wrong:
            raise UserError("\n".join(f"{self.name}: {name}: {why}" for name, why in wrong))
        return values

    def values(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """The value of every field that can be read, and each field that is wrong, as it is given, with the reason."""
        known = {name for one in self.fields for name in (one.name, *one.aliases)}
        names = ", ".join(one.name for one in self.fields) or "none"
        wrong = [(name, f"there is no such field: there are {names}") for name in given if name not in known]
        values: dict[str, Any] = {}
        for one in self.fields:
            written = [name for name in (one.name, *one.aliases) if name in given]
            if len(written) > 1:
                wrong.append((written[1], f"is the same as {written[0]}: remove one of the two"))
            name = written[0] if written else one.name
            value = given.get(name, one.default)
            if value is REQUIRED:
                wrong.append((name, f"is missing: {one.about}"))
                continue
            try:
                values[one.name] = one.read(value)
            except UserError as error:
                wrong.append((name, str(error)))
        if not wrong and self.check is not None and (found := self.check(values)) is not None:
            wrong.append(found)
        return values, wrong

    def plain(self, values: Mapping[str, Any]) -> dict[str, Plain]:
        """Values of fields as plain data, for a history."""
        return {one.name: one.plain(values[one.name]) for one in self.fields if values[one.name] is not UNCHANGED}


#: A field that is not given: its value does not change.
UNCHANGED = object()


def one_of(*choices: str) -> Callable[[Any], str]:
    """A reader of one of these texts."""

    def read(value: Any) -> str:
        if value not in choices:
            raise UserError(f"{value!r} is none of {', '.join(choices)}")
        return str(value)

    return read


def read_server_name(value: Any) -> str:
    """A server: by its name in the topology, or as a script has it. Raises UserError."""
    name = value if isinstance(value, str) else getattr(value, "name", None)
    if not isinstance(name, str) or not name:
        raise UserError(f"{value!r} is no server: give it, or its name in the topology")
    return name


def read_server_names(value: Any) -> tuple[str, ...]:
    """Several servers, at least one, none of them twice. Raises UserError."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise UserError(f"{value!r} are no servers: give a list of them, or of their names")
    names = tuple(map(read_server_name, value))
    if not names:
        raise UserError("names no server")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"names {', '.join(twice)} twice")
    return names


def link_ends(value: Any) -> tuple[str, str]:
    """The two servers of a link: as a script has it, or two of them. Raises UserError."""
    ends = (value.source, value.target) if hasattr(value, "source") and hasattr(value, "target") else value
    if not isinstance(ends, tuple | list) or len(ends) != 2:
        raise UserError(f"{value!r} is no link: give federation.link(a, b), or two servers")
    source, target = map(read_server_name, ends)
    if source == target:
        raise UserError(f"{source} has no link with itself: give two servers")
    return source, target


def acts_on_links(fields: Mapping[str, Plain], a: str, b: str) -> bool:
    """On the directions of its `links` in the history; of whichever direction: a stanza's answer needs both."""
    links = fields.get("links", fields.get("link", ""))  # histories of earlier versions have one `link`
    return any(set(one.split()) == {a, b} for one in str(links).split("|"))


def acts_on_no_route(fields: Mapping[str, Plain], a: str, b: str) -> bool:
    """On none: servers and their streams are as ever, and what becomes of stanzas must be judged."""
    return False


#: The field of faults of links that says which of the two directions.
DIRECTION = FaultField(
    name="direction",
    about="From the first server of the link `to` the second, `from` it back, or `both`.",
    read=one_of("both", "to", "from"),
    default="both",
    schema={"enum": ["both", "to", "from"]},
)
HOWS = ("blackhole", "silent", "reset", "refuse")
#: The field of faults that cut links.
HOW = FaultField(
    name="how",
    about="What connections meet: no byte passes and nothing answers (blackhole), no byte passes but "
    "connections are accepted (silent), they are reset, or refused.",
    read=one_of(*HOWS),
    default="blackhole",
    schema={"enum": list(HOWS)},
)
