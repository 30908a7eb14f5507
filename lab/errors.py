"""Every error of the lab, under one root, by whose turn it is to act.

LabError
 ├── UserError        you asked wrongly: the message says where and what to change   (exit 64)
 ├── MissingError     this machine lacks something: the message says how to get it   (exit 69)
 ├── PeerError        a server or client misbehaved: the message quotes it
 ├── TimedOut         it took too long: carries the evidence seen until then
 │    └── NotReady    the lab never became ready                                     (exit 3)
 └── NotApplicable    this topology cannot give the role asked for: a counted skip
"""

from __future__ import annotations


class LabError(Exception):
    """Root of all errors that the lab raises on purpose."""


class UserError(LabError):
    """The caller asked for something wrong; the message says where and what to change."""


class MissingError(LabError):
    """This machine lacks something; the message says what, and how to get it."""


class PeerError(LabError):
    """A server, client or agent answered with an error or not as its protocol says."""


class TimedOut(LabError):
    """A deadline passed. `evidence` is what was seen until then, oldest line first."""

    def __init__(self, message: str, evidence: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.evidence = evidence

    def __str__(self) -> str:
        head = super().__str__()
        return "\n".join([head, *(f"  | {line}" for line in self.evidence)])


class NotReady(TimedOut):
    """The lab did not become ready; `evidence` holds the last log lines and the likely cause."""


class NotApplicable(LabError):
    """The topology cannot give the role that was asked for."""


def describe(error: BaseException) -> str:
    """What an error says: the message of one of the lab's own; with its type in front for any other."""
    if isinstance(error, LabError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
