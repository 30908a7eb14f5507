"""`expects` of scenarios and tests: what each check must say, checked before anything is started."""

from __future__ import annotations

from collections.abc import Mapping

from lab.checks.judge import EXPECTABLE
from lab.checks.wanted import Wanted
from lab.errors import UserError
from lab.topology.software import parse

VALUES = ("valid", "failed", "unknown")

#: As people write it: {"secrecy": "failed"}, {"roster": {"ejabberd@24.12": "failed"}}.
Expects = Mapping[str, str | Mapping[str, str]]


def read_expects(expects: Expects | None) -> tuple[tuple[str, Wanted], ...]:
    """What each check must say, in the form of the history.

    Raises UserError for another value, and for a check or software that is unknown.
    """
    return tuple((check, _read(check, value)) for check, value in (expects or {}).items())


def _read(check: str, value: object) -> Wanted:
    if check not in EXPECTABLE:
        raise UserError(f"expects={{{check!r}: …}}: the checks are {', '.join(EXPECTABLE)}")
    if isinstance(value, Mapping):
        return tuple(
            (_software(check, name), _value(f"{check!r}: {{{name!r}: {one!r}}}", one)) for name, one in value.items()
        )
    return _value(f"{check!r}: {value!r}", value)


def _value(place: str, value: object) -> str:
    if not isinstance(value, str) or value not in VALUES:
        raise UserError(f"expects={{{place}}}: choose one of {', '.join(VALUES)}")
    return value


def _software(check: str, name: object) -> str:
    try:
        parse(name)
    except UserError as error:
        raise UserError(f"expects={{{check!r}: {{{name!r}: …}}}}: {error}") from None
    return str(name)
