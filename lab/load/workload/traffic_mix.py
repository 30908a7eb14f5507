"""Who does what: acts drawn one by one, each in constant time, seeded.

    local                 a message to somebody on one's own server
    neighbours            a message to somebody on a linked server
    social:degree=8       a message to somebody one knows (see lab.load.workload.social)
    room:size=50          a message to one's room (see lab.load.workload.rooms)
    presence:degree=8     away and back, told to those one knows: in a spike of arrivals a presence storm
    logins                leave and come back; logins:written=1 people who are written to meanwhile
    roster                ask for one's roster, or change a name in it
    archive               ask for the last page of one's archive
    upload:size=100KB     upload a file

A mix names its parts with weights: `6*social:degree=8+1*logins+1*archive`. `realistic` and `saturate` are mixes of
lab.load.workload.profiles. Whoever acts is drawn evenly from the worker's users who can: in `local` everybody who is
not alone
on their server, in `neighbours` everybody whose server is linked to one with users. Where logins are mixed with
messages, rooms or presences every fourth person goes and comes, and is in no room, and nobody writes to them: what is
said in a room, or a presence, is kept for nobody who is away, and a server may lose a message that comes while its
receiver logs in (ejabberd 24.12 does). To count that, `logins:written=1` lets everybody go and come who is written to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from lab.declarations.units import bytes_per_second
from lab.errors import UserError
from lab.load.model.spec import Load, Shard, seeded_rng
from lab.load.workload.population import People
from lab.load.workload.rooms import Room, rooms
from lab.load.workload.social import contacts
from lab.load.workload.traffic import Act as Act
from lab.load.workload.traffic import Draw, Kind, Part, Place, alone, local, mixed, neighbours, room, social


class Picker:
    """Draws acts without an end."""

    def __init__(self, draw: Draw) -> None:
        self.next: Draw = draw


@dataclass(frozen=True)
class Traffic:
    """What `parse` understood."""

    text: str
    parts: tuple[Part, ...]

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of acts that will be drawn: what the engine has to make ready."""
        return frozenset(_KINDS[part.name].kind for part in self.parts)

    def rooms(self, load: Load, seed: int) -> tuple[Room, ...]:
        """The rooms that must be there and joined; () without room traffic. Takes a look at each user."""
        sizes = [part.number for part in self.parts if part.name == "room"]
        return rooms(People(load), sizes[0], seed, without=self.goers(load, seed)) if sizes else ()

    @property
    def presences(self) -> bool:
        """Whether presences are drawn, which go to everybody's contacts."""
        return Kind.PRESENCE in self.kinds

    def contacts(self, load: Load, seed: int) -> list[list[int]]:
        """Who must be subscribed to whom, by user; [] where nobody's roster is needed. Draws the whole graph."""
        if not self.kinds & {Kind.PRESENCE, Kind.ROSTER}:
            return []
        named = {part.name: part.number for part in self.parts if part.name in ("presence", "social")}
        return contacts(People(load), named.get("presence", named.get("social", _DEGREE)), seed)

    def goers(self, load: Load, seed: int) -> frozenset[int]:
        """Who logs out and in, one of four, and is left alone by all others; nobody where everybody may."""
        logins = [part for part in self.parts if part.name == "logins"]
        others = self.kinds - {Kind.LOGIN, Kind.ROSTER, Kind.ARCHIVE, Kind.UPLOAD}
        if not logins or not others or any(part.number for part in logins):
            return frozenset()
        drawn = seeded_rng(seed, "goers")
        firsts = range(0, load.users, _GOERS)
        return frozenset(first + drawn.randrange(min(_GOERS, load.users - first)) for first in firsts)

    def picker(self, load: Load, shard: Shard, seed: int) -> Picker:
        """A worker's acts. Raises UserError if nobody of that worker could do one of the parts."""
        people, goers = People(load), self.goers(load, seed)
        draws = []
        for number, part in enumerate(self.parts):
            drawn = seeded_rng(seed, "traffic", shard.index, shard.of, number)
            place = Place(people, people.owned(shard), drawn, seed, goers)
            draws.append(_KINDS[part.name].build(place, part))
        if len(draws) == 1:
            return Picker(draws[0])
        return Picker(
            mixed(draws, [part.weight for part in self.parts], seeded_rng(seed, "mix", shard.index, shard.of))
        )


#: Contacts of a person on average where only rosters need any.
_DEGREE = 8
#: One of so many goes and comes.
_GOERS = 4


@dataclass(frozen=True)
class _Form:
    """A kind of traffic as it is written: its one option with what holds without it."""

    kind: Kind
    build: Callable[[Place, Part], Draw]
    option: str = ""
    number: int = 0


_KINDS = {
    "local": _Form(Kind.MESSAGE, local),
    "neighbours": _Form(Kind.MESSAGE, neighbours),
    "social": _Form(Kind.MESSAGE, social, "degree", 8),
    "room": _Form(Kind.ROOM, room, "size", 50),
    "presence": _Form(Kind.PRESENCE, alone(Kind.PRESENCE), "degree", 8),
    "logins": _Form(Kind.LOGIN, alone(Kind.LOGIN), "written", 0),
    "roster": _Form(Kind.ROSTER, alone(Kind.ROSTER)),
    "archive": _Form(Kind.ARCHIVE, alone(Kind.ARCHIVE)),
    "upload": _Form(Kind.UPLOAD, alone(Kind.UPLOAD), "size", 100_000),
}
FORMS = tuple(
    f"{name}:{form.option}={'100KB' if name == 'upload' else form.number}" if form.option and form.number else name
    for name, form in _KINDS.items()
)
_PART = re.compile(r"(?:([0-9]+(?:\.[0-9]+)?)\*)?([a-z]+)(?::([a-z]+)=([0-9]+[A-Za-z]*))?")


def parse(text: str) -> Traffic:
    """Read a kind or a mix. Raises UserError with what is wrong and the kinds that there are."""
    from lab.load.workload.profiles import MIXES

    try:
        parts = _parts(MIXES.get(text, text))
    except UserError as error:
        raise UserError(
            f"traffic {text!r}: {error}; there are {', '.join((*FORMS, *MIXES))}, and mixes: 6*local+1*logins"
        ) from error
    return Traffic(text, parts)


def _parts(text: str) -> tuple[Part, ...]:
    parts = tuple(_part(one.strip()) for one in text.split("+"))
    for name in ("room", "presence", "logins"):
        if sum(part.name == name for part in parts) > 1:
            raise UserError(f"{name} stands in it twice, and can have one size only")
    if any(part.name == "logins" and part.number for part in parts) and {"room", "presence"} & {p.name for p in parts}:
        raise UserError("logins:written=1 goes with messages only: no room and no presence waits for who is away")
    return parts


def _part(text: str) -> Part:
    found = _PART.fullmatch(text)
    if not found or found[2] not in _KINDS:
        raise UserError(f"there is no kind {text!r}")
    weight, name, option, value = found.groups()
    form = _KINDS[name]
    if option and option != form.option:
        raise UserError(f"{name} has {f'the option {form.option}' if form.option else 'no options'}, not {option}")
    number = form.number if value is None else _number(name, value)
    if weight is not None and not float(weight):
        raise UserError(f"{text!r} weighs nothing")
    return Part(name, number, float(weight or 1))


def _number(name: str, value: str) -> int:
    if name == "upload":
        return bytes_per_second(value) or 0  # sizes have the units of rates
    if not value.isdigit():
        raise UserError(f"{value!r} is no whole number")
    return int(value)
