"""What is declared of a fault: a `FaultDeclaration`, one for each file of lab/declarations/faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lab.errors import UserError

#: What describes a fault in a history, as JSON has it.
Plain = str | int | float | bool | None

REQUIRED = object()


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, kw_only=True)
class FaultField:
    """One parameter of a fault."""

    name: str
    about: str  # a sentence
    read: Callable[[Any], Any]  # the value of what a script, a file or a command line gives. Raises UserError
    plain: Callable[[Any], Plain] = _same  # that value for the history
    unit: str = ""  # of a number in the history
    default: Any = REQUIRED  # as given, not as read


@dataclass(frozen=True, kw_only=True)
class FaultDeclaration:
    """A fault. Its code is the module of the same name in lab/faults."""

    name: str  # what scripts import from lab.faults, and what histories call it
    about: str  # a sentence: what happens
    fields: tuple[FaultField, ...]
    #: Whether it acts on the route between two servers, by its fields in the history. None: where it names one.
    acts_on: Callable[[Mapping[str, Plain], str, str], bool] | None = None

    def read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The value of every field. Raises one UserError with a line for each field that is wrong."""
        known = {field.name: field for field in self.fields}
        names = ", ".join(known)
        wrong = [
            f"{self.name}: {name}: there is no such field: there are {names}" for name in given if name not in known
        ]
        values = {}
        for name, field in known.items():
            value = given.get(name, field.default)
            if value is REQUIRED:
                wrong.append(f"{self.name}: {name}: is missing: {field.about}")
                continue
            try:
                values[name] = field.read(value)
            except UserError as error:
                wrong.append(f"{self.name}: {name}: {error}")
        if wrong:
            raise UserError("\n".join(wrong))
        return values


def one_of(*choices: str) -> Callable[[Any], str]:
    """A reader of one of these texts."""

    def read(value: Any) -> str:
        if value not in choices:
            raise UserError(f"{value!r} is none of {', '.join(choices)}")
        return str(value)

    return read


def server_name(value: Any) -> str:
    """A server: by its name in the topology, or as a script has it. Raises UserError."""
    name = value if isinstance(value, str) else getattr(value, "name", None)
    if not isinstance(name, str) or not name:
        raise UserError(f"{value!r} is no server: give it, or its name in the topology")
    return name


def server_names(value: Any) -> tuple[str, ...]:
    """Several servers, at least one, none of them twice. Raises UserError."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise UserError(f"{value!r} are no servers: give a list of them, or of their names")
    names = tuple(map(server_name, value))
    if not names:
        raise UserError("names no server")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"names {', '.join(twice)} twice")
    return names
