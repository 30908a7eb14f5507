"""The report of a run as plain text: the verdict in one sentence, then what it is based on.

Where a run failed the sentence names the message, the link and the likely cause; the findings below it quote the last
stanzas that servers reported. Everything comes from the history and the plan.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from lab.checks import Finding, Judgement, Value, Verdict
from lab.checks.verdict import pluralize
from lab.checks.wanted import describe_wanted
from lab.metrics.ledger import LedgerEntry, ledger
from lab.metrics.left_out import left_out
from lab.metrics.record import RunRecord
from lab.metrics.stanzas import stanzas
from lab.metrics.tables import tables
from lab.report import timeline
from lab.report.formats.excerpt import list_excerpt
from lab.runner import folders
from lab.runner.tables import render_table
from lab.system.tables import USUAL, format_table, get_terminal_width, wrap_text
from lab.system.terminal import escape_unprintable

# verdict.json has all of them.
FINDINGS_SHOWN = 5
NOTES_SHOWN = 10
ROUTES_SHOWN = 30
LEFT_OUT_SHOWN = 10
LOSSES_SHOWN = 20
LINES_SHOWN = 30
#: Columns of the ledger that are shown only if any link has such messages: the rest fits 80 columns.
RARE = ("both", "duplicate", "lost", "late", "unknown")

MARKS = {"valid": "ok", "failed": "FAILED", "unknown": "unknown", "done": "ok", "not ended": "not ended"}


def write_report(folder: Path, record: RunRecord, judgement: Judgement) -> None:
    """Write report.txt into the folder of a run that has been judged; its width does not depend on a terminal."""
    folders.write(folder / folders.REPORT, render(record, judgement, USUAL))


def render(record: RunRecord, judgement: Judgement, width: int | None = None) -> str:
    """The whole report, with a newline at its end; at most `width` columns wide, or as wide as the terminal.

    Text wraps between words only: a line with an id, a JID or an address that is longer than the width is longer too.
    """
    columns = width or get_terminal_width()
    lines = [*wrap_text(f"{judgement.value.upper()}: {judgement.sentence}", width=columns), "", *_head(record, columns)]
    for part in (
        _tables(record, columns),
        _excerpt(record, judgement, columns),
        _checks(record, judgement, columns),
        _findings(judgement, columns),
        _steps(record, columns),
        _ledger(record, columns),
        _left_out(record, columns),
        _notes(record, columns),
    ):
        block = list(part)
        if block:
            lines += ["", *block]
    return escape_unprintable("\n".join(lines)) + "\n"


def _head(record: RunRecord, width: int) -> Iterator[str]:
    started, servers = record.started, record.topology.servers
    if started:
        spec = f" [{started.spec}]" if started.spec else ""
        yield from wrap_text(f"scenario  {started.scenario}: {started.title}{spec}", then=" " * 10, width=width)
    links = pluralize(len(record.topology.links), "link")
    size = f"{pluralize(len(servers), 'server')}, {links}, {record.plan.facts.runtime}"
    yield from wrap_text(f"topology  {record.topology.name}: {size}", then=" " * 10, width=width)
    if started:
        when = datetime.fromtimestamp(started.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        seen = pluralize(stanzas(record), "stanza")
        text = f"run       {when}, {timeline.compute_length(record):.1f} s, {seen} seen by servers"
        yield from wrap_text(text, then=" " * 10, width=width)


def _tables(record: RunRecord, width: int) -> Iterator[str]:
    """What the scenario measured, cell by cell."""
    for number, one in enumerate(tables(record)):
        yield from [""] * bool(number)
        yield from render_table(one, width).splitlines()


def _excerpt(record: RunRecord, judgement: Judgement, width: int) -> Iterator[str]:
    """The time around the first failure, and the command that repeats the run."""
    failed = judgement.value == Value.FAILED
    found = [one for each in judgement.verdicts for one in each.findings if one.value is Value.FAILED and failed]
    first = next((one for one in found if one.sentence in judgement.sentence), None)  # not one that is as expected
    lines = list_excerpt(record, first) if first else []
    if lines and first:
        yield f"around it (seconds since {'it was sent' if first.message else 'the first fault'})"
    for seconds, text in lines[:LINES_SHOWN]:
        yield from wrap_text(f"{seconds:+8.3f}  {text}", "  ", " " * 12, width=width)
    if len(lines) > LINES_SHOWN:
        yield f"  and {len(lines) - LINES_SHOWN} more: history.jsonl has them all"
    if failed and record.started and record.started.command:
        yield "repeat it"
        yield f"  {record.started.command}"


def _checks(record: RunRecord, judgement: Judgement, width: int) -> Iterator[str]:
    expects = dict(record.started.expects) if record.started else {}
    if judgement.verdicts:
        yield "checks"
    for each in judgement.verdicts:
        wanted = f" (must be {describe_wanted(expects[each.check])})" if each.check in expects else ""
        mark = MARKS[each.value] if each.judged else "-"
        yield from wrap_text(f"{mark:8}  {each.check}{wanted}: {each.sentence}", "  ", " " * 12, width=width)


def _findings(judgement: Judgement, width: int) -> Iterator[str]:
    shown = [(each, finding) for each in judgement.verdicts for finding in _some(each)]
    if shown:
        yield "findings"
    for each, finding in shown:
        yield from wrap_text(f"{MARKS[finding.value]:8}  {each.check}: {finding.sentence}", "  ", " " * 12, width=width)
        if finding.cause:
            yield from wrap_text(f"likely cause: {finding.cause}", " " * 12, " " * 14, width=width)
        if finding.last_hop:
            yield from wrap_text(f"last seen: {finding.last_hop}", " " * 12, " " * 14, width=width)
        for stanza in finding.stanzas:
            yield from wrap_text(f"> {stanza}", " " * 12, " " * 14, width=width)
    left = sum(len(each.findings) for each in judgement.verdicts) - len(shown)
    if left:
        yield f"  and {pluralize(left, 'more finding')}: verdict.json has them all"


def _some(verdict: Verdict) -> Sequence[Finding]:
    return verdict.findings[:FINDINGS_SHOWN]


def _steps(record: RunRecord, width: int) -> Iterator[str]:
    steps = timeline.list_steps(record)
    if steps:
        yield "steps"
    for one in steps:
        indent = "  " * one.depth
        yield from wrap_text(f"{MARKS[one.state]:8}  {indent}{one.text}", "  ", f"{' ' * 14}{indent}", width=width)


def _ledger(record: RunRecord, width: int) -> Iterator[str]:
    found = ledger(record)
    if not found:
        return
    shown = found[:ROUTES_SHOWN]
    rare = [name for name in RARE if any(getattr(one, name) for one in found)]
    head = ("from", "to", "link", "sent", "delivered", "bounced", *rare, "median", "p95", "max")
    rows = [
        (one.sender, one.receiver, "yes" if one.linked or one.sender == one.receiver else "no", one.sent, one.delivered,
         one.bounced, *(getattr(one, name) for name in rare),
         *map(_delay, (one.delay_median, one.delay_p95, one.delay_max)))
        for one in shown
    ]  # fmt: skip
    yield "messages (delays from sending to a device that is online, in seconds)"
    yield from textwrap.indent(format_table(head, rows, width=width - 2), "  ").splitlines()
    if len(found) > ROUTES_SHOWN:
        yield f"  and {len(found) - ROUTES_SHOWN} more routes: xmpplab report --format json has them all"
    yield from _losses(found, width)


def _losses(found: Sequence[LedgerEntry], width: int) -> Iterator[str]:
    """Every lost message by name."""
    losses = [(entry, one) for entry in found for one in entry.losses]
    if losses:
        yield "lost messages"
    for entry, one in losses[:LOSSES_SHOWN]:
        faults = f"during {' and '.join(one.faults)}" if one.faults else "no fault"
        text = (
            f"{one.message} to {one.device} ({entry.sender} - {entry.receiver}): {faults}; {one.last_hop or 'not seen'}"
        )
        yield from wrap_text(text, "  ", "    ", width=width)
    if len(losses) > LOSSES_SHOWN:
        yield f"  and {len(losses) - LOSSES_SHOWN} more: xmpplab report --format json has them all"


def _delay(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.3f}"


def _left_out(record: RunRecord, width: int) -> Iterator[str]:
    found = left_out(record)
    if found:
        yield "devices left out of encrypted messages"
    for one in found[:LEFT_OUT_SHOWN]:
        trust = ", by its sender's decision" if one.excluded else ""
        yield from wrap_text(
            f"{one.message}: device {one.omemo_device} of {one.owner}{trust}: {one.reason}", "  ", "    ", width=width
        )
    if len(found) > LEFT_OUT_SHOWN:
        yield f"  and {len(found) - LEFT_OUT_SHOWN} more: xmpplab report --format json has them all"


def _notes(record: RunRecord, width: int) -> Iterator[str]:
    notes = list(timeline.list_notes(record))
    if notes:
        yield "notes"
    for one in notes[:NOTES_SHOWN]:
        yield from wrap_text(one.text, "  ", "    ", width=width)
    if len(notes) > NOTES_SHOWN:
        yield f"  and {len(notes) - NOTES_SHOWN} more"
