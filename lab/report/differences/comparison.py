"""Two runs of one scenario, side by side: which steps, messages and checks took another course, and which was first.

What differs by nature is taken out: ids, times, the numbers in the names of new people. What is compared of a message
is where it was seen, in which order, and what became of it: not how long it took. Messages correspond by sender,
receiver and how many there were between these two before.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lab.checks import Judgement
from lab.errors import UserError
from lab.history.events import Connected, Expectation
from lab.metrics.jids import strip_resource
from lab.metrics.record import RunRecord
from lab.metrics.stanza_paths import StanzaPath
from lab.report.space_time import SpaceTime, StanzaLine

STEP, MESSAGE, CHECK = "step", "message", "check"
_NUMBERED = re.compile(r"(.*?)\d*")


@dataclass(frozen=True)
class Entry:
    """A part of a run's course in words that two runs have in common."""

    kind: str  # STEP, MESSAGE, CHECK
    title: str  # the same in both runs: "message 2 from alice@a.test to bob@b.test"
    lines: tuple[str, ...]
    index: int | None = None  # of a message: that of its stanza on the run's page


@dataclass(frozen=True)
class ComparedEntry:
    """An entry of both runs, or of one."""

    kind: str
    title: str
    first: Entry | None
    second: Entry | None

    @property
    def same(self) -> bool:
        """Whether it took the same course in both."""
        return self.first is not None and self.second is not None and self.first.lines == self.second.lines

    def align(self) -> list[tuple[bool, str, str]]:
        """The lines of both beside each other: whether they are equal, the first run's, the second's; "" for none."""
        from difflib import SequenceMatcher

        one = self.first.lines if self.first else ()
        other = self.second.lines if self.second else ()
        rows: list[tuple[bool, str, str]] = []
        for tag, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
            for place in range(max(b - a, d - c)):
                left = one[a + place] if a + place < b else ""
                right = other[c + place] if c + place < d else ""
                rows.append((tag == "equal", left, right))
        return rows


@dataclass(frozen=True)
class RunDifference:
    """What two runs have in common, and what not."""

    scenario: str
    verdicts: tuple[Judgement, Judgement]
    settings: tuple[tuple[str, str, str], ...]  # name, value of the first run, value of the second
    pairs: tuple[ComparedEntry, ...] = field(default=())

    @property
    def different(self) -> list[ComparedEntry]:
        """What took another course, in order; the first is the first difference."""
        return [one for one in self.pairs if not one.same]

    @property
    def settings_differ(self) -> list[str]:
        """Names of the settings in which the runs differ."""
        return [name for name, one, other in self.settings if one != other and name != "started"]

    def count_same(self) -> Counter[str]:
        """How many of each kind are the same."""
        return Counter(one.kind for one in self.pairs if one.same)


def compare(first: tuple[RunRecord, Judgement], second: tuple[RunRecord, Judgement]) -> RunDifference:
    """Compare two judged runs. Raises UserError unless they are of one scenario."""
    names = [record.started.scenario if record.started else "" for record, _ in (first, second)]
    if names[0] != names[1]:
        raise UserError(
            f"the first run is of {names[0] or 'no scenario'}, the second of {names[1] or 'no scenario'}: "
            "diff compares two runs of one scenario"
        )
    entries = [list(_list_entries(*run)) for run in (first, second)]
    settings = [_list_settings(record) for record, _ in (first, second)]
    every = dict.fromkeys([*settings[0], *settings[1]])
    return RunDifference(
        scenario=names[0],
        verdicts=(first[1], second[1]),
        settings=tuple((name, settings[0].get(name, "–"), settings[1].get(name, "–")) for name in every),
        pairs=tuple(_pair(*entries)),
    )


def _list_settings(record: RunRecord) -> dict[str, str]:
    started = record.started
    servers = ", ".join(f"{one.name} {one.software} {one.version}".strip() for one in record.topology.servers)
    found = {"topology": record.topology.name, "servers": servers, "runtime": record.plan.facts.runtime}
    found["faults"] = (
        ", ".join(f"{one.name} ({one.action}, seed {one.seed})" for one in record.topology.faults) or "none"
    )
    if started is not None:
        found["started"] = datetime.fromtimestamp(started.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        found |= dict(started.machine)
    return found


def _pair(one: Sequence[Entry], other: Sequence[Entry]) -> Iterator[ComparedEntry]:
    """Entries of the same title together; those of the second run alone behind what came before them there."""
    left = {entry.title: entry for entry in one}
    right = {entry.title: entry for entry in other}
    extra: dict[str, list[Entry]] = defaultdict(list)
    before = ""
    for entry in other:
        if entry.title in left:
            before = entry.title
        else:
            extra[before].append(entry)
    for title in ("", *left):
        if title:
            yield ComparedEntry(left[title].kind, title, left[title], right.get(title))
        for entry in extra[title]:
            yield ComparedEntry(entry.kind, entry.title, None, entry)


# -- the course of a run ----------------------------------------------------------------------------------------


def _list_entries(record: RunRecord, judgement: Judgement) -> Iterator[Entry]:
    """Steps and messages in the order in which they began, then the checks."""
    diagram = SpaceTime(record, judgement)
    rename = name_people(record)
    timed = [*_list_steps(diagram, rename), *_list_messages(diagram, rename)]
    yield from (entry for _, entry in sorted(timed, key=lambda one: one[0]))
    for verdict in judgement.verdicts:
        value = verdict.value.value if verdict.judged else "nothing judged"
        yield Entry(CHECK, f"check {verdict.check}", (value,))


def name_people(record: RunRecord) -> Callable[[str], str]:
    """A function that writes the names of a run's people without the numbers that make them new, and leaves ids out.

    Where a run has several people of one name on a server they are numbered as they appeared.
    """
    names: dict[str, str] = {}
    taken: Counter[str] = Counter()
    for device in record.of(Connected):
        bare = strip_resource(device.device)
        if bare in names:
            continue
        user, _, domain = bare.partition("@")
        stem = (_NUMBERED.fullmatch(user) or [user, user])[1] or user
        taken[f"{stem}@{domain}"] += 1
        number = taken[f"{stem}@{domain}"]
        names[bare] = f"{stem}{number if number > 1 else ''}@{domain}"
    ids = {sent.message: "(its id)" for _, sent in record.messages if len(sent.message) > 3}
    known = {**names, **ids}
    if not known:
        return lambda text: text
    pattern = re.compile("|".join(re.escape(one) for one in sorted(known, key=len, reverse=True)))
    return lambda text: pattern.sub(lambda found: known[found[0]], text)


def _list_steps(diagram: SpaceTime, rename: Callable[[str], str]) -> Iterator[tuple[float, Entry]]:
    expected: dict[str, list[Expectation]] = defaultdict(list)
    for event in diagram.record.of(Expectation):
        expected[event.step].append(event)
    times: Counter[str] = Counter()
    for step in diagram.steps:
        text = rename(step.text)
        times[text] += 1
        number = f" ({times[text]})" if times[text] > 1 else ""
        state = "failed" if step.failed else "not ended" if step.ended is None else "done"
        lines = (state, *(_describe_expectation(one, rename) for one in expected.pop(step.text, ())))
        yield step.began, Entry(STEP, f"step “{text}”{number}", lines)
    for events in expected.values():
        for count, event in enumerate(events, 1):
            yield (
                event.at,
                Entry(STEP, f"expectation {count} outside of steps", (_describe_expectation(event, rename),)),
            )


def _describe_expectation(event: Expectation, rename: Callable[[str], str]) -> str:
    got = "held" if event.held else f"got {event.actual}"
    return rename(f"expected {event.expected}: {got}")


def _list_messages(diagram: SpaceTime, rename: Callable[[str], str]) -> Iterator[tuple[float, Entry]]:
    times: Counter[str] = Counter()
    for index, line in enumerate(diagram.lines):
        sent = line.path.sent
        if sent is None or sent.marker:
            continue
        ends = f"from {rename(strip_resource(sent.sender))} to {rename(sent.receiver)}"
        times[ends] += 1
        lines = [f"encryption: {sent.encryption}", *_describe_path(line.path, rename), *_describe_ends(diagram, line)]
        yield sent.at, Entry(MESSAGE, f"message {times[ends]} {ends}", tuple(rename(one) for one in lines), index)


def _describe_path(path: StanzaPath, rename: Callable[[str], str]) -> list[str]:
    """A line for each place behind the one before it; where several follow one they are indented, in order of names."""
    children: dict[int | None, list[int]] = defaultdict(list)
    for place, one in enumerate(path.observations):
        children[one.before].append(place)

    def walk(before: int | None) -> list[str]:
        branches = [[describe(place), *walk(place)] for place in children[before]]
        indent = "  " * (len(branches) > 1)
        return [f"{indent}{line}" for branch in sorted(branches) for line in branch]

    def describe(place: int) -> str:
        one = path.observations[place]
        return f"{'received by' if one.direction == 'in' else 'sent by'} {rename(one.place)}"

    return walk(None)


def _describe_ends(diagram: SpaceTime, line: StanzaLine) -> Iterator[str]:
    """What became of it, and what checks say."""
    record, sent = diagram.record, line.path.sent
    assert sent is not None
    yield from sorted(f"delivered to {one.device} ({one.via})" for one in record.arrivals(sent))
    yield from sorted(f"bounced by {one.by} with {one.condition}" for one in record.bounces.get(sent, ()))
    yield from sorted(f"not decrypted by {one.device}" for one in record.not_decrypted.get(sent, ()))
    if not (record.arrivals(sent) or record.bounces.get(sent)):
        yield "neither delivered nor bounced"
    for check, finding in line.findings:
        yield f"{check}: {finding.value.value}{', likely cause: ' if finding.cause else ''}{finding.cause}"
