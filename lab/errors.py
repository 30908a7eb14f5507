"""All errors of the lab, with one root class, by who has to act; and their form in messages between processes.

LabError
 ├── UserError        you asked wrongly: the message says where and what to change   (exit 64)
 ├── MissingError     this machine lacks something: the message says how to get it   (exit 69)
 ├── PeerError        a server or client misbehaved: the message quotes it
 ├── TimedOut         it took too long: carries the evidence seen until then
 │    ├── NotReady    the lab never became ready                                     (exit 3)
 │    └── NotReceived a stanza that a script waits for was not received: an expectation that does not hold
 └── NotApplicable    this topology cannot give the role asked for: a counted skip

Processes exchange errors in two forms, both with `kind` and `message`: the answer to a request names the kind
("usage"), an event that ends some work names the class ("UserError"). `decode_error` reads both. Exit codes are in
lab/exit_codes.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_QUOTE = "  | "  # before each line of evidence


class LabError(Exception):
    """Root of all errors that the lab raises on purpose."""


class UserError(LabError):
    """The caller asked for something wrong; the message says where and what to change."""


class MissingError(LabError):
    """This machine lacks something; the message says what, and how to get it."""


class PeerError(LabError):
    """A server, client or agent answered with an error or not as its protocol says.

    `condition` is that of the stanza error (RFC 6120 section 8.3.3), "" where it was none.
    """

    def __init__(self, message: str, condition: str = "") -> None:
        super().__init__(message)
        self.condition = condition


class TimedOut(LabError):
    """A deadline passed. `evidence` is what was seen until then, oldest line first."""

    def __init__(self, message: str, evidence: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.evidence = evidence

    def __str__(self) -> str:
        head = super().__str__()
        return "\n".join([head, *(f"{_QUOTE}{line}" for line in self.evidence)])


class NotReady(TimedOut):
    """The lab did not become ready; `evidence` holds the last log lines and the likely cause."""


class NotReceived(TimedOut, AssertionError):
    """A stanza that a script waits for was not received in time: what it expects does not hold.

    `check` is the name of the check that judges the same, "" if none does.
    """

    def __init__(self, message: str, evidence: tuple[str, ...] = (), check: str = "") -> None:
        super().__init__(message, evidence)
        self.check = check


class NotApplicable(LabError):
    """The topology cannot give the role that was asked for."""


def describe(error: BaseException) -> str:
    """What an error says: the message of one of the lab's own; with its type in front for any other."""
    if isinstance(error, LabError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of the operating system within say this file: that of a write, such as of a full disk, names none."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


#: Each class and the kind by which answers name it. A subclass is written as the first of these that it belongs to.
_KINDS: tuple[tuple[type[LabError], str], ...] = (
    (UserError, "usage"),
    (MissingError, "missing"),
    (NotReady, "timeout"),
    (TimedOut, "timeout"),
    (PeerError, "peer"),
    (LabError, "peer"),
)
_INTERNAL = "internal"  # kind of an error that nobody raised on purpose

#: What a kind or a class's name is read as; of classes with the same kind the more general one but LabError.
_CLASSES: dict[str, type[LabError]] = {
    **{kind: cls for cls, kind in _KINDS if cls is not LabError},
    **{cls.__name__: cls for cls, _ in _KINDS},
}


def encode_answer(error: Exception) -> dict[str, str]:
    """An error as the answer to a request: kind (`usage`, `missing`, `timeout`, `peer`, `internal`) and message.

    One that a stanza error was the reason of has its condition as well.
    """
    if not isinstance(error, LabError):
        return {"kind": _INTERNAL, "message": describe(error)}
    answer = {"kind": next(kind for cls, kind in _KINDS if isinstance(error, cls)), "message": str(error)}
    if isinstance(error, PeerError) and error.condition:
        answer["condition"] = error.condition
    return answer


def encode_event(error: LabError) -> dict[str, str]:
    """An error as the event `failed`, which ends what a process was to do: kind (the class's name) and message."""
    name = next(cls.__name__ for cls, _ in _KINDS if isinstance(error, cls))
    return {"event": "failed", "kind": name, "message": str(error)}


def decode_error(data: Mapping[str, Any]) -> LabError:
    """The error in such an answer or event; PeerError for a kind that is not known, `internal` among them."""
    cls, message = _CLASSES.get(str(data.get("kind")), PeerError), str(data.get("message", ""))
    if issubclass(cls, TimedOut):
        head, *rest = message.split("\n")
        if all(line.startswith(_QUOTE) for line in rest):
            return cls(head, tuple(line.removeprefix(_QUOTE) for line in rest))
    if issubclass(cls, PeerError):
        return cls(message, str(data.get("condition") or ""))
    return cls(message)
