"""What a check says: one of three values, a sentence, and findings that name messages, links and causes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

# A report that quotes more than a few stanzas, or long ones, is not read.
LAST_STANZAS = 3
LONGEST_STANZA = 200  # characters: who, to whom, which message, how it begins; the history has it whole
LONGEST_VALUE = 200  # characters of what was expected, and of what was got instead


class Value(StrEnum):
    """Failed outranks unknown, unknown outranks valid."""

    VALID = "valid"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be (`failed`), or of which nothing can be said (`unknown`)."""

    value: Value
    sentence: str
    message: str | None = None  # id
    servers: tuple[str, ...] = ()  # the route it took, sender's server first: one or two names
    cause: str = ""  # the likely one
    last_hop: str = ""  # the last that saw the message
    stanzas: tuple[str, ...] = ()  # the last few that servers saw of it, "server direction stream: XML"
    server: str = ""  # name of the server whose doing it is, where that is not the last of `servers`
    check: str = ""  # the name of the check that judges the same, if one does

    @property
    def at(self) -> str:
        """Name of the server by whose software an expectation of the scenario is chosen, "" if none is concerned."""
        return self.server or (self.servers[-1] if self.servers else "")


@dataclass(frozen=True)
class Verdict:
    """What one check says of a run."""

    check: str
    value: Value
    sentence: str
    findings: tuple[Finding, ...] = ()
    judged: int = 0  # how many things were looked at; 0: the run had nothing for this check
    servers: tuple[str, ...] = ()  # names of the servers that it looked at; () where it does not tell them apart

    def to_json(self) -> dict[str, Any]:
        """The verdict as a JSON object."""
        return asdict(self)


def build_verdict(
    check: str, judged: int, findings: Sequence[Finding], good: str, nothing: str, servers: Sequence[str] = ()
) -> Verdict:
    """The verdict of a check that looked at `judged` things: `good` without a finding, `nothing` if judged is 0."""
    at = tuple(dict.fromkeys(servers))
    for value in (Value.FAILED, Value.UNKNOWN):
        these = [finding for finding in findings if finding.value is value]
        if these:
            ordered = (*these, *(one for one in findings if one.value is not value))
            return Verdict(check, value, _leading(these), ordered, max(judged, 1), at)
    if not judged:
        return Verdict(check, Value.UNKNOWN, nothing)
    return Verdict(check, Value.VALID, good, (), judged, at)


def _leading(findings: Sequence[Finding]) -> str:
    """The first finding's sentence with its cause, and how many more there are."""
    first = findings[0]
    text = first.sentence + (f" Likely cause: {first.cause.removesuffix('.')}." if first.cause else "")
    more = len(findings) - 1
    return text + (f" (and {more} more finding{'s' * (more > 1)})" if more else "")


def pluralize(count: int, noun: str) -> str:
    """ "1 message", "2 messages"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def shorten(text: str, longest: int) -> str:
    """The text, or so many characters of it and how many there are."""
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)"
