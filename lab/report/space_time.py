"""The space-time diagram of a run as data: lanes, a line for each stanza with its verdict, faults as bands, steps.

A lane is a device or a server; the devices of a server stand beside it. Formats draw it: on the page, as SVG, as
Mermaid text. It is a pure function of the record and of the judgement.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf

from lab.checks import Finding, Judgement, Value
from lab.checks.verdict import pluralize
from lab.checks.wanted import count_verdict
from lab.history.events import (
    Bounced,
    Connected,
    FaultApplied,
    FaultHealed,
    Sent,
    ServerEnded,
    ServerSaw,
    ServerStarted,
)
from lab.metrics.jids import strip_resource
from lab.metrics.record import RunRecord
from lab.metrics.stanza_paths import Observation, StanzaPath, list_stanza_paths
from lab.report.timeline import StepSpan, list_steps

#: What became of a stanza: that of a message as the checks say; "expected" failed as the scenario wants it to; "error"
#: is a stanza of that type; "none" is not judged.
VALID, FAILED, UNKNOWN, EXPECTED, ERROR, NONE = "valid", "failed", "unknown", "expected", "error", "none"
_RANK = (FAILED, EXPECTED, UNKNOWN)


@dataclass(frozen=True)
class Lane:
    """A vertical line of the diagram."""

    name: str  # full JID of a device, name of a server
    title: str  # as it is shown: "alice/phone", "home"
    server: str  # name of the server: itself, or the device's; "" if it is none of the lab's
    person: str  # bare JID; "" for a server


@dataclass(frozen=True)
class StanzaLine:
    """A stanza in the diagram."""

    path: StanzaPath
    value: str  # see above
    outcome: str  # in words
    findings: tuple[tuple[str, Finding], ...] = ()  # check and finding


@dataclass(frozen=True)
class Band:
    """Something that acted for a time: a fault, or a server that was down."""

    title: str
    began: float  # seconds since the epoch
    ended: float | None  # None: until the end
    servers: tuple[str, ...]  # names; () for all
    fault: bool = True
    detail: str = ""


class SpaceTime:
    """The diagram of a run."""

    def __init__(self, record: RunRecord, judgement: Judgement) -> None:
        self.record, self.judgement = record, judgement
        self.paths = list_stanza_paths(record)

    @cached_property
    def began(self) -> float:
        """The time of the start, in seconds since the epoch."""
        if self.record.started is not None:
            return self.record.started.at
        return min((event.at for event in self.record.events), default=0.0)

    @cached_property
    def lanes(self) -> list[Lane]:
        """Servers in the order of the topology, their devices beside them: before the first server, behind others."""
        devices: dict[str, list[str]] = defaultdict(list)
        for device in self._list_devices():
            server = self.record.find_server(device)
            devices[server.name if server else ""].append(device)
        alone = Counter(strip_resource(one) for some in devices.values() for one in some)
        lanes: list[Lane] = []
        for place, server in enumerate(self.record.topology.servers):
            own = [
                Lane(one, _name_device(one, alone), server.name, strip_resource(one)) for one in devices[server.name]
            ]
            column = Lane(server.name, server.name, server.name, "")
            lanes += [*own, column] if place == 0 else [column, *own]
        return [*lanes, *(Lane(one, one, "", strip_resource(one)) for one in devices[""])]

    def _list_devices(self) -> list[str]:
        """Full JIDs of devices that connected, and of clients that servers had streams with, as they first appear."""
        servers = frozenset(server.name for server in self.record.topology.servers)
        found = dict.fromkeys(one.device for one in self.record.of(Connected))
        found |= dict.fromkeys(one.peer for one in self.record.of(ServerSaw) if one.stream == "c2s" and one.peer)
        places = (one.place for path in self.paths for one in path.observations)
        found |= dict.fromkeys(one for one in places if one not in servers)
        return list(found)

    @cached_property
    def lines(self) -> list[StanzaLine]:
        """A line for each stanza, in the order in which they began."""
        answered = {cause for path in self.paths if path.name == "iq" and path.type != "set" for cause in path.causes}
        return [self._judge(index, path, index in answered) for index, path in enumerate(self.paths)]

    def _judge(self, index: int, path: StanzaPath, answered: bool) -> StanzaLine:
        if path.type == "error":
            return StanzaLine(path, ERROR, "an error stanza (RFC 6120 section 8.3)")
        if path.sent is None:
            if path.name == "iq" and path.type in ("get", "set"):
                return StanzaLine(path, NONE, "answered" if answered else "no answer is recorded")
            return StanzaLine(path, NONE, "")
        found = self._findings_of(path.sent)
        values = {value for value, _, _ in found}
        value = next((one for one in _RANK if one in values), NONE)
        arrived = self.record.arrivals(path.sent)
        if value == NONE and (arrived or self.record.bounces.get(path.sent)):
            value = VALID
        return StanzaLine(
            path, value, describe_outcome(self.record, path.sent), tuple((check, one) for _, check, one in found)
        )

    def _findings_of(self, sent: Sent) -> list[tuple[str, str, Finding]]:
        route = self.record.path(sent)
        found = self.findings.get(sent.message, ())
        return [one for one in found if not one[2].servers or set(one[2].servers) <= set(route) or len(found) == 1]

    @cached_property
    def findings(self) -> dict[str, list[tuple[str, str, Finding]]]:
        """By message what checks found: the value as it counts for the run, the name of the check, the finding."""
        wanted = dict(self.record.started.expects) if self.record.started else {}
        found: dict[str, list[tuple[str, str, Finding]]] = defaultdict(list)
        for verdict in self.judgement.verdicts:
            counted = count_verdict(self.record, verdict, wanted).value
            for one in verdict.findings:
                if one.message is None:
                    continue
                value = EXPECTED if counted is Value.VALID else one.value.value
                found[one.message].append((value, verdict.check, one))
        return found

    @cached_property
    def first_wrong(self) -> int | None:
        """Index of the first message of which a check says that it went wrong; else of which it knows nothing."""
        for value in (FAILED, UNKNOWN):
            if self.judgement.value in (FAILED, UNKNOWN):
                found = next((index for index, one in enumerate(self.lines) if one.value == value), None)
                if found is not None:
                    return found
        return None

    @cached_property
    def bands(self) -> list[Band]:
        """Faults, and times in which servers were down, in the order of their beginning."""
        healed = {one.number: one for one in self.record.of(FaultHealed) if not one.error}
        found = []
        for one in self.record.of(FaultApplied):
            end = healed.get(one.number)
            detail = ", ".join(f"{name}: {value}" for name, value in one.fields if value is not None)
            title = f"{one.fault}: could not be applied: {one.error}" if one.error else one.fault
            ended = one.at if one.error else end.at if end else None
            found.append(Band(title, one.began, ended, one.servers, detail=detail))
        return sorted([*found, *self._outages()], key=lambda band: band.began)

    def _outages(self) -> list[Band]:
        since: dict[str, float] = {}
        found = []
        for event in self.record.events:
            if isinstance(event, ServerEnded):
                since.setdefault(event.server, event.at)
            elif isinstance(event, ServerStarted) and event.server in since:
                found.append(Band(f"{event.server} is down", since.pop(event.server), event.at, (event.server,), False))
        return [*found, *(Band(f"{name} is down", at, None, (name,), False) for name, at in since.items())]

    @cached_property
    def steps(self) -> list[StepSpan]:
        """The steps in the order in which they began."""
        return list_steps(self.record)


def describe_outcome(record: RunRecord, sent: Sent) -> str:
    """What became of a message, in words: to whom it was delivered and when, and who bounced it with what."""
    said = [
        f"delivered to {shorten_jid(one.device)}{'' if one.via == 'live' else f' ({one.via})'}"
        f" after {max(0.0, one.at - sent.at):.3f} s"
        for one in record.arrivals(sent)
    ]
    if len(said) > _NAMED:
        said[_NAMED:] = [f"and to {pluralize(len(said) - _NAMED, 'more device')}"]
    said += [describe_bounce(one) for one in record.bounces.get(sent, ())]
    undone = record.not_decrypted.get(sent, ())
    if undone:
        said.append(f"not decrypted by {', '.join(shorten_jid(one.device) for one in undone[:_NAMED])}")
    return "; ".join(said) or "neither delivered nor bounced"


#: Devices that an outcome names.
_NAMED = 4


def describe_bounce(bounce: Bounced) -> str:
    """Who returned a message, and why (RFC 6120 section 8.3)."""
    text = f": {bounce.text}" if bounce.text else ""
    return f"bounced by {bounce.by} with {bounce.condition}{text}"


def _name_device(jid: str, devices: Mapping[str, int]) -> str:
    """The name of a device in its lane: that of its person, and its own where the person has several."""
    return shorten_jid(jid) if devices[strip_resource(jid)] > 1 else strip_resource(jid).partition("@")[0]


def shorten_jid(jid: str) -> str:
    """A full JID without its domain: "alice/phone"; others as they are."""
    bare, slash, resource = jid.partition("/")
    user, at, _ = bare.partition("@")
    return f"{user}/{resource}" if slash and at else jid


def list_shown(diagram: SpaceTime) -> list[StanzaLine]:
    """The stanzas of a drawing that cannot filter: messages, presence and errors; all where there are none of these."""
    shown = [one for one in diagram.lines if one.path.kind in ("message", "presence") or one.value == ERROR]
    return shown or diagram.lines


def describe_kind(line: StanzaLine) -> str:
    """ "message chat (omemo)", "presence", "iq get"."""
    sent = line.path.sent
    sealed = f" ({sent.encryption})" if sent is not None and sent.encryption not in ("", "plain") else ""
    return f"{line.path.kind} {line.path.type}".strip() + sealed


def measure_hops(path: StanzaPath) -> list[tuple[Observation, float | None]]:
    """Each observation with the seconds since the one before it; None for the first."""
    found = path.observations
    return [(one, None if one.before is None else max(0.0, one.at - found[one.before].at)) for one in found]


def overlaps(band: Band, began: float, ended: float) -> bool:
    """Whether a band acts at any moment of a time."""
    return band.began <= ended and began <= (inf if band.ended is None else band.ended)
