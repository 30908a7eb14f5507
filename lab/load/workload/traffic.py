"""What users do: load kinds and mixes of them, as `traffic:` of a load names them.

    social:degree=8                       a load kind with its option (lab.declarations.load_kinds has all kinds)
    6*social:degree=8+1*logins+1*archive  a mix of load kinds by weight
    realistic                             a mix with a name: each person, per hour: 6 messages to contacts, 2 changes of
                                          presence, one login, a request for the roster and one for the archive
    saturate                              messages over the links (within the server without links), as fast as they are
                                          delivered: the closed model without a pause; it finds the throughput, and its
                                          delays say nothing about a steady load

Who acts is drawn evenly from the worker's users who can: for `local` everybody who is not alone on their server, for
`neighbours` everybody whose server is linked to one with users. Where logins are mixed with messages, rooms or
presences, one of four users is intermittent: they log out and in, are members of no room, and nobody writes to them.
A room does not store what is said for an absent user, nor does a server store presences, and a server may lose a
message that arrives while its receiver logs in (ejabberd 24.12 does). To count that, with `logins:written=1` everybody
logs out and in and is written to.

The numbers of `realistic` are round ones that the lab chose; they serve for comparing, not for planning capacity.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from lab.declarations.load_kind import LoadKind, Receivers
from lab.declarations.load_kinds import KINDS
from lab.declarations.units import parse_rate
from lab.errors import UserError
from lab.load.model.spec import Load, seeded_rng
from lab.load.workload.population import Population, RoomPlan, plan_contacts, plan_rooms

#: Load kinds as they are written.
FORMS = tuple(kind.form for kind in KINDS.values())

#: What a person does per hour in the mix `realistic`, by load kind.
HOURLY = {"social:degree=8": 6, "presence:degree=8": 2, "logins": 1, "roster": 1, "archive": 1}

#: Mixes with a name.
MIXES = {
    "realistic": "+".join(f"{times}*{kind}" for kind, times in HOURLY.items()),
    "saturate": "neighbours",
}

#: Contacts of a user on average where no kind says how many.
_DEGREE = 8
#: One of so many users is intermittent.
_INTERMITTENT = 4
_PART = re.compile(r"(?:([0-9]+(?:\.[0-9]+)?)\*)?([a-z-]+)(?::([a-z]+)=([0-9]+[A-Za-z]*))?")


@dataclass(frozen=True)
class TrafficPart:
    """A load kind with the value of its option, and its weight in a mix."""

    kind: LoadKind
    number: int = 0
    weight: float = 1.0


@dataclass(frozen=True)
class Traffic:
    """What `parse_traffic` understood."""

    text: str
    parts: tuple[TrafficPart, ...]

    @property
    def actions(self) -> frozenset[str]:
        """The actions that users will do."""
        return frozenset(part.kind.action for part in self.parts)

    @property
    def needs_archive(self) -> bool:
        """Whether the archive of each user must contain messages before the start."""
        return any(part.kind.needs_archive for part in self.parts)

    @property
    def presences(self) -> bool:
        """Whether users change their presence, which goes to all contacts."""
        return any(part.kind.receivers is Receivers.CONTACTS for part in self.parts)

    def rooms(self, load: Load, seed: int) -> tuple[RoomPlan, ...]:
        """The rooms that must exist and be joined; () without a kind that needs them. Visits each user."""
        sizes = [part.number for part in self.parts if part.kind.receivers is Receivers.ROOM]
        return plan_rooms(Population(load), sizes[0], seed, without=self.intermittent(load, seed)) if sizes else ()

    def contacts(self, load: Load, seed: int) -> list[list[int]]:
        """The contacts of each user; [] where no roster is needed. Draws the whole graph."""
        if not any(part.kind.needs_contacts for part in self.parts):
            return []
        with_degree = [part for part in self.parts if part.kind.option and part.kind.option.name == "degree"]
        degrees = {part.kind.receivers: part.number for part in with_degree}
        degree = degrees.get(Receivers.CONTACTS, degrees.get(Receivers.USER, _DEGREE))
        return plan_contacts(Population(load), degree, seed)

    def intermittent(self, load: Load, seed: int) -> frozenset[int]:
        """The users who log out and in, and whom nobody writes to; none where everybody logs out and is written to."""
        logins = [part for part in self.parts if part.kind.logs_out]
        to_others = any(part.kind.receivers is not Receivers.NOBODY for part in self.parts)
        if not logins or not to_others or any(part.number for part in logins):
            return frozenset()
        rng = seeded_rng(seed, "goers")
        firsts = range(0, load.users, _INTERMITTENT)
        return frozenset(first + rng.randrange(min(_INTERMITTENT, load.users - first)) for first in firsts)


def parse_traffic(text: str) -> Traffic:
    """Read a load kind or a mix. Raises UserError with what is wrong and the kinds that there are."""
    try:
        parts = _parse_parts(MIXES.get(text, text))
    except UserError as error:
        raise UserError(
            f"traffic {text!r}: {error}; there are {', '.join((*FORMS, *MIXES))}, and mixes: 6*local+1*logins"
        ) from error
    return Traffic(text, parts)


def apply_mix(name: str, load: Load) -> Load:
    """The load with the traffic and the arrivals of a named mix. Raises UserError for an unknown name."""
    if name == "realistic":
        return replace(load, traffic=name, arrivals=f"poisson:{load.users * sum(HOURLY.values())}/h")
    if name == "saturate":
        linked = any(endpoint.neighbours for endpoint in load.endpoints)
        return replace(load, traffic=name if linked else "local", arrivals="closed:think=0s")
    raise UserError(f"there is no profile {name!r}; there are {', '.join(MIXES)}")


def _parse_parts(text: str) -> tuple[TrafficPart, ...]:
    parts = tuple(_parse_part(one.strip()) for one in text.split("+"))
    for kind in KINDS.values():
        if kind.once and sum(part.kind is kind for part in parts) > 1:
            raise UserError(f"{kind.name} occurs twice, and can have one size only")
    absent = any(part.kind.logs_out and part.number for part in parts)
    if absent and any(part.kind.receivers in (Receivers.ROOM, Receivers.CONTACTS) for part in parts):
        raise UserError(
            "logins:written=1 can be combined with messages only: servers store no room messages or presences "
            "for users who are offline"
        )
    return parts


def _parse_part(text: str) -> TrafficPart:
    found = _PART.fullmatch(text)
    if not found or found[2] not in KINDS:
        raise UserError(f"there is no kind {text!r}")
    weight, name, option, value = found.groups()
    kind = KINDS[name]
    if option and (kind.option is None or option != kind.option.name):
        raise UserError(f"{name} has {f'the option {kind.option.name}' if kind.option else 'no options'}, not {option}")
    if weight is not None and not float(weight):
        raise UserError(f"{text!r} has the weight 0")
    return TrafficPart(kind, _parse_option(kind, value), float(weight or 1))


def _parse_option(kind: LoadKind, value: str | None) -> int:
    if kind.option is None:
        return 0
    if value is None:
        return kind.option.default
    if kind.option.in_bytes:
        return parse_rate(value) or 0  # sizes have the units of rates
    if not value.isdigit():
        raise UserError(f"{value!r} is no whole number")
    return int(value)
