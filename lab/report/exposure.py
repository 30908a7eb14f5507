"""What servers learned, as text and as JSON: a table of facts by server, and how concentrated that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from lab.history.events import ServerSaw
from lab.lifecycle.feed_record import FeedRecord
from lab.metrics.concentration import compute_concentration
from lab.metrics.conversation_share import ConversationShare, compute_shares
from lab.metrics.conversations import Conversations, Smallest, read_conversations
from lab.metrics.entropy import Entropy, compute_entropy
from lab.metrics.exposure import FACTS, Learned, compare_encryptions, exposure, number_stanzas
from lab.metrics.gini import Gini, compute_gini
from lab.metrics.half_disconnected import compute_half_disconnected
from lab.metrics.half_seen import compute_half_seen
from lab.metrics.nakamoto import Nakamoto, compute_nakamoto
from lab.metrics.record import RunRecord
from lab.system.tables import format_table, get_terminal_width, wrap_text

SHARE_HEAD = ("server", "people", "conversations", "share")
COMPARISON_HEAD = (
    "topology", "servers", "largest share", "HHI by operator", "HHI by network", "operators see half",
    "networks see half", "servers cut half", "without link",
)  # fmt: skip

DISTRIBUTION_HEAD = ("", "Gini", "entropy (bits)", "normalised", "Nakamoto")
DISTRIBUTION_COMPARISON_HEAD = (
    "topology", "Gini", "entropy (bits)", "normalised", "Nakamoto by server", "by operator", "by network",
)  # fmt: skip
PEOPLE_BY_SERVER = "How people are distributed"

_GROUPS = {"operator": ("operator", "operators"), "hosting": ("network", "networks")}


@dataclass(frozen=True)
class Exposure:
    """What there is to show, of a run or of a lab."""

    cells: Sequence[Learned]
    conversations: Conversations
    proof: str  # what the number of an event is
    title: str
    stanzas: Mapping[tuple[str, int], ServerSaw]  # what proves the first of a cell, by server and number
    run: RunRecord | None  # None of a lab

    @cached_property
    def encryptions(self) -> Mapping[str, Sequence[Learned]]:
        """A cell for each fact, by encryption; none of a lab, of whose people nobody knows what they can read."""
        return compare_encryptions(self.run) if self.run else {}

    @classmethod
    def of_run(cls, record: RunRecord) -> Exposure:
        """That of a run."""
        cells = exposure(record)
        wanted = {cell.event for cell in cells}
        stanzas = {(event.server, number): event for number, event in number_stanzas(record) if number in wanted}
        title = f"{record.started.scenario if record.started else 'a run'} on {record.topology.name}"
        return cls(cells, read_conversations(record), "the event in history.jsonl", title, stanzas, record)

    @classmethod
    def of_lab(cls, feeds: FeedRecord) -> Exposure:
        """That of a lab since it came up."""
        shown = cls.of_run(feeds.record)
        stanzas = {(server, feeds.lines[number - 1]): event for (server, number), event in shown.stanzas.items()}
        return cls(
            feeds.cite_lines(shown.cells),
            shown.conversations,
            "the line of that server's feed.jsonl",
            f"the lab {feeds.name}",
            stanzas,
            None,
        )


def to_json(shown: Exposure) -> dict[str, Any]:
    """`exposure` with a cell for each server and fact, and the measures."""
    return {"exposure": [asdict(cell) for cell in shown.cells], **measures_to_json(shown.conversations)}


def measures_to_json(conversations: Conversations) -> dict[str, Any]:
    """The measures of conversations, each under the name of its metric."""
    return {
        "conversations": len(conversations.observers),
        "conversation_share": [asdict(one) for one in compute_shares(conversations)],
        "concentration": [asdict(one) for one in compute_concentration(conversations)],
        "gini": [asdict(one) for one in compute_gini(conversations)],
        "entropy": [asdict(one) for one in compute_entropy(conversations)],
        "nakamoto": [asdict(one) for one in compute_nakamoto(conversations)],
        "half_seen": [asdict(one) for one in compute_half_seen(conversations)],
        "half_disconnected": asdict(compute_half_disconnected(conversations)),
    }


def render(shown: Exposure) -> str:
    """The table and the measures, without a newline at the end."""
    cells = shown.cells
    lines = [_table(cells, get_terminal_width()), ""]
    lines += wrap_text(f"In brackets: {shown.proof} that proves the first of them.")
    for sentence in list_unknown(cells):
        lines += wrap_text(sentence)
    return "\n".join([*lines, "", render_measures(shown.conversations)])


def encryptions_to_json(shown: Exposure) -> dict[str, Any]:
    """A cell for each encryption and fact."""
    return {encryption: [asdict(cell) for cell in cells] for encryption, cells in shown.encryptions.items()}


def render_encryptions(shown: Exposure) -> str:
    """What remains visible, a column for each encryption; without a newline at the end."""
    columns = shown.encryptions
    if not columns:
        return "\n".join(wrap_text("No device is known of in this run, and so no encryption."))
    lines = [format_table(("", *columns), list_encryptions(columns), width=get_terminal_width()), ""]
    lines += wrap_text(f"At the server that learned most. In brackets: {shown.proof} that proves the first of them.")
    return "\n".join(lines)


def list_encryptions(columns: Mapping[str, Sequence[Learned]]) -> list[tuple[str, ...]]:
    """A row for each fact: its name, and a cell for each encryption."""
    cells = zip(*columns.values(), strict=True)
    return [(name, *map(write_cell, row)) for name, row in zip(FACTS.values(), cells, strict=True)]


def list_unknown(cells: Sequence[Learned]) -> list[str]:
    """A sentence for each reason why facts are unknown, with the servers and the facts."""
    sentences = []
    for why in dict.fromkeys(cell.why for cell in cells if cell.why):
        places: dict[str, list[str]] = {}
        for cell in (one for one in cells if one.why == why):
            places.setdefault(cell.server, []).append(FACTS[cell.fact])
        # Where the same is unknown at several servers, one sentence says so.
        for facts in dict.fromkeys(map(tuple, places.values())):
            servers = [server for server, some in places.items() if tuple(some) == facts]
            what = "everything" if len(facts) >= len(FACTS) - 1 else ", ".join(facts)
            sentences.append(f"Unknown at {', '.join(servers)}: {what} ({why}).")
    return sentences


def render_measures(conversations: Conversations) -> str:
    """The share of each server and how even shares are, as tables; then a sentence for each other measure."""
    lines = [format_table(SHARE_HEAD, list_shares(conversations), figures=True), ""]
    lines += [format_table(DISTRIBUTION_HEAD, list_distributions(conversations), figures=True), ""]
    for sentence in list_measures(conversations):
        lines += wrap_text(sentence)
    return "\n".join(lines)


def list_shares(conversations: Conversations) -> list[tuple[object, ...]]:
    """A row for each server, under SHARE_HEAD."""
    return [
        (one.server, one.people, "unknown" if one.seen is None else one.seen, _percent(one))
        for one in compute_shares(conversations)
    ]


def list_distributions(conversations: Conversations) -> list[tuple[object, ...]]:
    """A row for each distribution, under DISTRIBUTION_HEAD; of operators and networks only where servers have any."""
    servers = conversations.topology.servers
    shown = {"server", *(label for label in _GROUPS if any(getattr(server, label) for server in servers))}
    measures = zip(
        compute_gini(conversations), compute_entropy(conversations), compute_nakamoto(conversations), strict=True
    )
    return [
        (
            f"{one.what} by {_GROUPS[one.label][0] if one.label in _GROUPS else one.label}",
            *_write_evenness(one, entropy), _needed(nakamoto),
        )
        for one, entropy, nakamoto in measures
        if one.label in shown
    ]  # fmt: skip


def list_measures(conversations: Conversations) -> list[str]:
    """A sentence for each measure."""
    whole = len(conversations.observers)
    unseen = sum(not seen for seen in conversations.observers.values())
    of_these = f", {unseen} of them {conversations.unseen}" if unseen else ""
    return [
        f"{whole} {'conversation' if whole == 1 else 'conversations'}{of_these}.",
        *_list_concentrations(conversations),
    ]


def render_comparison(plans: Sequence[Conversations], about: str) -> str:
    """The measures of several topologies side by side, under one sentence."""
    tables = (
        format_table(COMPARISON_HEAD, list_comparison(plans), figures=True),
        format_table(DISTRIBUTION_COMPARISON_HEAD, list_distribution_comparison(plans), figures=True),
    )
    return "\n\n".join(["\n".join(wrap_text(about)), tables[0], f"{PEOPLE_BY_SERVER}:\n{tables[1]}"])


def list_distribution_comparison(plans: Sequence[Conversations]) -> list[tuple[object, ...]]:
    """A row for each topology, under DISTRIBUTION_COMPARISON_HEAD: how people are distributed."""
    rows: list[tuple[object, ...]] = []
    for plan in plans:
        gini, entropy = compute_gini(plan)[0], compute_entropy(plan)[0]
        needed = [_needed(one) for one in compute_nakamoto(plan) if one.what == gini.what]
        rows.append((plan.topology.name, *_write_evenness(gini, entropy), *needed))
    return rows


def list_comparison(plans: Sequence[Conversations]) -> list[tuple[object, ...]]:
    """A row for each topology, under COMPARISON_HEAD."""
    rows: list[tuple[object, ...]] = []
    for one in plans:
        operators, networks = compute_concentration(one)
        most = max((share.share or 0.0, share.server) for share in compute_shares(one))
        rows.append(
            (
                one.topology.name, len(one.topology.servers), f"{most[0]:.0%}", _hhi(operators.hhi), _hhi(networks.hhi),
                *(_number(half) for half in compute_half_seen(one)), _number(compute_half_disconnected(one)),
                sum(not seen for seen in one.observers.values()),
            )
        )  # fmt: skip
    return rows


def _table(cells: Sequence[Learned], width: int) -> str:
    """Facts by server; servers that have no room beside the others follow below."""
    columns: dict[str, list[str]] = {}
    for cell in cells:
        columns.setdefault(cell.server, []).append(write_cell(cell))
    labels = list(FACTS.values())
    blocks: list[list[str]] = []
    room = 0
    for server, texts in columns.items():
        needed = max(map(len, (server, *texts))) + 2
        if not blocks or needed > room:
            blocks.append([])
            room = width - max(map(len, labels))
        blocks[-1].append(server)
        room -= needed
    return "\n\n".join(
        format_table(("", *names), [*zip(labels, *(columns[name] for name in names), strict=True)], width=width)
        for names in blocks
    )


def write_cell(cell: Learned) -> str:
    """What stands in a table: how much was learned, and the number of the event that proves the first of it."""
    if cell.count is None:
        return "unknown"
    if not cell.count:
        return "-"
    return f"{cell.detail or cell.count} ({cell.event})"


def _list_concentrations(conversations: Conversations) -> list[str]:
    found = []
    concentrations, halves = compute_concentration(conversations), compute_half_seen(conversations)
    for one, half in zip(concentrations, halves, strict=True):
        if one.label == "hosting" and not any(server.hosting for server in conversations.topology.servers):
            continue
        noun, nouns = _GROUPS[one.label]
        index = "unknown" if one.hhi is None else f"{_hhi(one.hhi)}, {one.band}"
        found.append(f"HHI by {noun}: {index}.")
        found.append(
            f"How many {nouns} see half of all conversations is unknown: {half.why}."
            if half.needed is None
            else f"Half of all conversations are seen by {_say(half, noun, nouns)}."
        )
    lost = compute_half_disconnected(conversations)
    found.append(
        f"Without which servers half of all pairs of people cannot write to each other is unknown: {lost.why}."
        if lost.needed is None
        else f"Half of all pairs of people cannot write to each other without {_say(lost, 'server', 'servers')}."
    )
    return found


def _say(smallest: Smallest, one: str, several: str) -> str:
    most = "" if smallest.exact else "at most "
    return f"{most}{smallest.needed} {one if smallest.needed == 1 else several}: {', '.join(smallest.names)}"


def _number(smallest: Smallest) -> str:
    if smallest.needed is None:
        return "-"
    return f"{'' if smallest.exact else '<= '}{smallest.needed}"


def _write_evenness(gini: Gini, entropy: Entropy) -> tuple[str, str, str]:
    """Coefficient, bits and the part of the most bits that there can be."""
    return (
        "-" if gini.coefficient is None else f"{gini.coefficient:.2f}",
        "-" if entropy.bits is None else f"{entropy.bits:.2f}",
        "-" if entropy.normalised is None else f"{entropy.normalised:.0%}",
    )


def _needed(one: Nakamoto) -> str:
    return "-" if one.needed is None else str(one.needed)


def _hhi(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _percent(one: ConversationShare) -> str:
    return "unknown" if one.seen is None else "-" if one.share is None else f"{one.share:.0%}"
