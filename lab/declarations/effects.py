"""What a fault does to a lab, as data: declarations compute it, the lab's service or its holder carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from lab.declarations.stanza_rules import StanzaRule


@dataclass(frozen=True)
class LinkImpairment:
    """One direction of a link has other conditions, or is cut, until it is healed."""

    source: str
    target: str
    changes: Mapping[str, Any] = field(default_factory=dict)  # link fields in their units
    cut: str | None = None  # "blackhole", "silent", "reset", "refuse"
    loss: float = 0.0  # share of the packets that the kernel drops


@dataclass(frozen=True)
class StreamsEnd:
    """The connections of one direction of a link are ended once: new ones are carried."""

    source: str
    target: str
    how: str  # "reset", "close"


@dataclass(frozen=True)
class NameAnswer:
    """What the lab's name server answers to one server about another one's server-to-server address."""

    asker: str
    target: str
    how: str  # "nxdomain", "servfail", "no-answer", "slow", "wrong-srv", "failover"
    delay: float = 0.0  # seconds before the answer


class ServerChange(StrEnum):
    """What happens to a server's process."""

    STOP = "stop"  # it is asked to end (SIGTERM), and does
    KILL = "kill"  # it ends at once (SIGKILL)
    PAUSE = "pause"  # it does nothing, its connections stay
    RESTART = "restart"  # it ends as with `stop`, and is started again


@dataclass(frozen=True)
class ServerOutage:
    """A server is stopped, killed or paused until it is healed, or restarted once."""

    server: str
    change: ServerChange


@dataclass(frozen=True)
class CertificateChange:
    """A server has another certificate, which it shows on new streams, until it is healed."""

    server: str
    kind: str  # as in a topology: "expired"


@dataclass(frozen=True)
class Interception:
    """Stanzas of one direction of a link are handed to rules, until it is healed."""

    source: str
    target: str
    attack: str  # name of the fault
    rules: tuple[StanzaRule, ...]


@dataclass(frozen=True)
class DeviceOutage:
    """The devices of a person have lost their connections, or these pass no bytes, until it is healed."""

    person: str  # the name of the account
    server: str
    how: str  # "dropped", "stalled"


Effect = CertificateChange | DeviceOutage | Interception | LinkImpairment | StreamsEnd | NameAnswer | ServerOutage
