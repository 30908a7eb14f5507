"""What became of a message, and what a link promises of it.

A message has a set of outcomes: deliveries (live, from the offline store, from an archive, as a carbon copy) and
bounces (stanza errors: which condition, from whom). Both, several or none are possible, and all are recorded.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Delivery:
    """A device received the message (RFC 6121 section 8.5)."""

    device: str  # full JID
    via: str  # "live", "offline" (the offline store), "archive" (XEP-0313), "carbon" (XEP-0280)
    at: float  # seconds since the epoch
    text: str | None  # as the person reads it; None if it could not be decrypted
    encryption: str  # "plain", "omemo"


@dataclass(frozen=True)
class Receipt:
    """A device said that it has the message (XEP-0184)."""

    device: str  # full JID
    at: float  # seconds since the epoch


@dataclass(frozen=True)
class Bounce:
    """The message was returned to its sender as a stanza error (RFC 6120 section 8.3)."""

    condition: str  # "not-allowed", "remote-server-not-found", ...
    by: str  # JID that sent the error
    at: float  # seconds since the epoch
    text: str = ""


@dataclass(frozen=True)
class Outcome:
    """All that became of a message until it was settled or the deadline had passed."""

    deliveries: tuple[Delivery, ...]
    bounces: tuple[Bounce, ...]
    settled: bool  # False: the deadline passed first
    message: str = ""  # the message's id

    def __str__(self) -> str:
        parts = [f"delivered to {one.device} ({one.via})" for one in self.deliveries]
        parts += [f"bounced by {one.by} with {one.condition}" for one in self.bounces]
        if not parts:
            parts = ["neither delivered nor bounced"]
        return ", ".join(parts) + ("" if self.settled else ", not settled before the deadline")


@dataclass(frozen=True)
class Delivers:
    """Promise: every device that was online gets the message once (RFC 6121 section 8.5), and nothing bounces."""

    def matches(self, outcome: Outcome) -> bool:
        """True if the outcome is as promised."""
        direct = [one.device for one in outcome.deliveries if one.via in ("live", "offline")]
        return outcome.settled and bool(direct) and len(direct) == len(set(direct)) and not outcome.bounces

    def __str__(self) -> str:
        return "delivered once"


@dataclass(frozen=True)
class Refuses:
    """Promise: no device receives the message, its sender receives one of these errors (RFC 6120 section 8.3.3)."""

    conditions: tuple[str, ...]
    within: float  # seconds after it was sent

    def matches(self, outcome: Outcome) -> bool:
        """True if the outcome is as promised."""
        arrived = [one for one in outcome.deliveries if one.via != "carbon"]  # the sender's own devices get copies
        return not arrived and [one.condition in self.conditions for one in outcome.bounces] == [True]

    def __str__(self) -> str:
        return f"bounced with {' or '.join(self.conditions)} within {self.within:g} s"


Promise = Delivers | Refuses
