"""The table of attacks: its rows and columns, and what a cell says. Data alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from lab.errors import UserError

#: The columns.
ENCRYPTIONS = ("omemo", "omemo:2", "otr", "plain")
#: The lines of a row: keys are trusted blindly; blindly, and one was verified before; not before somebody has decided.
TRUSTS = ("blind", "verified", "undecided")
#: The trust where there are no keys.
NO_TRUST = "none"

_NO_LISTS = "there are no device lists: a session is between two devices"
_NO_KEYS = "there are no keys, and every server reads it as it is"


@dataclass(frozen=True, kw_only=True)
class AttackKind:
    """A row."""

    name: str
    about: str  # a sentence
    faults: tuple[str, ...]  # names of the faults that it injects
    #: Whether the people have written to each other before, however they trust.
    established: bool = False
    #: Encryptions against which there is no such attack, and why.
    pointless: Mapping[str, str] = field(default_factory=dict)
    messages: int = 1  # that the sender writes under attack
    receiver_devices: int = 1
    #: The server of a third person, if there is one: "sender" (who writes to the receiver first), "receiver".
    third: str = ""
    #: What the people speak in the place of a column's encryption.
    spoken: Mapping[str, str] = field(default_factory=dict)


#: Nothing attacks: what is not read then cannot be judged under attack.
CONTROL = AttackKind(name="none", about="Nothing attacks.", faults=())

ATTACKS = (
    AttackKind(
        name="swap-bundle",
        about="The receiver's server hands out keys of its own as theirs (with OTR: uses them), and reads along.",
        faults=("swap-bundle",),
        pointless={"plain": _NO_KEYS},
    ),
    AttackKind(
        name="phantom-device",
        about="The receiver's server lists a device of its own as theirs, and reads along.",
        faults=("phantom-device",),
        pointless={"plain": _NO_KEYS, "otr": _NO_LISTS},
    ),
    AttackKind(
        name="withhold-device-list",
        about="The receiver's server hands out their device list without one of their two devices.",
        faults=("withhold-device-list",),
        receiver_devices=2,
        pointless={"plain": _NO_KEYS, "otr": _NO_LISTS},
    ),
    AttackKind(
        name="stale-prekey",
        about="The receiver's server hands out the same old prekey to everybody; somebody else has used it.",
        faults=("stale-prekey",),
        third="sender",
        pointless={"plain": _NO_KEYS, "otr": "there are no prekeys: keys are exchanged in a session"},
    ),
    AttackKind(
        name="downgrade-older",
        about="Offers of the newer version are hidden (OMEMO 2 of people who speak both, version 3 of OTR).",
        faults=("downgrade",),
        pointless={"plain": "nothing is weaker", "omemo": "there is no older version"},
        spoken={"omemo:2": "omemo+omemo:2"},
    ),
    AttackKind(
        name="downgrade-plain",
        about="All device lists and offers are hidden, so that plain text is all that is left.",
        faults=("downgrade",),
        pointless={"plain": "nothing is weaker"},
    ),
    AttackKind(
        name="strip-encryption",
        about="What is encrypted is taken out of messages.",
        faults=("strip-encryption",),
        established=True,
        pointless={"plain": "nothing is encrypted"},
    ),
    AttackKind(
        name="modify-ciphertext",
        about="A letter of what is encrypted is changed.",
        faults=("modify-ciphertext",),
        established=True,
        pointless={"plain": "nothing is encrypted"},
    ),
    AttackKind(
        name="drop-stanzas",
        about="Messages vanish; they ask for receipts.",
        faults=("drop-stanzas",),
        established=True,
    ),
    AttackKind(name="replay", about="Messages arrive twice.", faults=("replay",), established=True),
    AttackKind(
        name="reorder",
        about="Of two messages the second arrives first.",
        faults=("reorder",),
        established=True,
        messages=2,
    ),
    AttackKind(
        name="forge-carbon",
        about="The sender's server sends a copy (XEP-0280) of a message that a friend of the receiver's never sent.",
        faults=("forge-carbon",),
        established=True,
        third="receiver",
    ),
)


class CellOutcome(StrEnum):
    """What became of an attack."""

    IMPOSSIBLE = "impossible"  # it acted, and what was sent is read as ever, by those for whom it was alone
    NOTICED = "noticed"
    UNNOTICED = "unnoticed"  # it succeeded, and neither people's devices nor a check say so
    UNKNOWN = "unknown"
    POINTLESS = "-"


@dataclass(frozen=True)
class Cell:
    """An attack, an encryption, and how its users trust."""

    attack: str
    encryption: str
    trust: str

    def __str__(self) -> str:
        return f"{self.attack} {self.encryption} {self.trust}"


@dataclass(frozen=True)
class CellResult:
    """What a cell says."""

    cell: Cell
    outcome: CellOutcome
    by: tuple[str, ...] = ()  # who noticed it: "sender", "receiver"; "check delivery" where only checks of the lab do
    why: str = ""  # of what is not known, or not to be judged; else how it was noticed
    checks: tuple[str, ...] = ()  # every check that has failed
    messages: tuple[str, ...] = ()  # ids of the messages under attack
    folder: str = ""  # of the run, by its name

    @property
    def text(self) -> str:
        """As tables and references have it: "impossible", "sender", "both", "check delivery"."""
        if self.by == ("sender", "receiver"):
            return "both"
        return ", ".join(self.by) if self.outcome is CellOutcome.NOTICED else str(self.outcome)


def list_cells(attacks: Iterable[str] = (), encryptions: Iterable[str] = ()) -> list[Cell]:
    """The cells of these attacks and encryptions, of all unless some are named. Raises UserError for another name."""
    rows = _choose("attack", attacks, [one.name for one in ATTACKS])
    columns = _choose("encryption", encryptions, ENCRYPTIONS)
    keyed = [column for column in columns if column != "plain"]
    found = []
    for row in rows:
        found += [Cell(row, column, trust) for trust in TRUSTS for column in keyed]
        found += [Cell(row, "plain", NO_TRUST)] if "plain" in columns else []
    return found


def get_kind(name: str) -> AttackKind:
    """The row of that name."""
    return next(one for one in (CONTROL, *ATTACKS) if one.name == name)


def judge_without_trial(cell: Cell) -> CellResult | None:
    """What is said of a cell that nobody needs to try; None of others."""
    kind = get_kind(cell.attack)
    if why := kind.pointless.get(cell.encryption):
        return CellResult(cell, CellOutcome.POINTLESS, why=why)
    return None


def merge(results: list[CellResult]) -> CellResult:
    """One result of a cell that was tried between servers in either direction."""
    first = results[0]
    messages = tuple(message for one in results for message in one.messages)
    if len({one.text for one in results}) == 1:
        return replace(first, messages=messages)
    unknown = [one.why for one in results if one.outcome is CellOutcome.UNKNOWN]
    differing = "; ".join(f"{one.text} ({one.why})" for one in results)
    why = unknown[0] if unknown else f"it differs by direction: {differing}"
    return CellResult(first.cell, CellOutcome.UNKNOWN, why=why, messages=messages, folder=first.folder)


def _choose(what: str, wanted: Iterable[str], known: Iterable[str]) -> list[str]:
    chosen, every = list(dict.fromkeys(wanted)), list(known)
    if wrong := [one for one in chosen if one not in every]:
        raise UserError(f"{what} {wrong[0]!r} is unknown: use one of {', '.join(every)}")
    return [one for one in every if one in chosen] or every
