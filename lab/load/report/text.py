"""The report of a load as text: tables of routes, of processes, of links; then remarks, a sentence each.

The last line is the verdict.
"""

from __future__ import annotations

from collections.abc import Sequence

from lab.load.analysis.delayed_acknowledgements import find_delayed_links
from lab.load.analysis.thresholds import describe_caused, judge_load
from lab.load.metrics.counters import RouteCounters
from lab.load.metrics.result import Result, Usage
from lab.load.metrics.run_folder import LoadRecord
from lab.system.tables import format_table, wrap_text
from lab.system.terminal import escape_unprintable

#: Routes with a line of their own; of more the slowest.
LINES = 16
_LINKS = 6  # that a sentence names
_NAME = 16  # characters of a fault's name: the table has 80
_MIB = 1 << 20
Row = Sequence[object]


def render(record: LoadRecord) -> str:
    """The whole report."""
    parts = [_head(record)]
    if record.measured:
        parts += [_routes(record.result), _machines(record)]
        if record.result.links:
            parts.append(_links(record.result))
        if record.faults:
            parts.append(_faults(record))
    said = [*list_remarks(record), str(judge_load(record))]
    parts.append("\n".join(line for sentence in said for line in wrap_text(sentence, then="  ")))
    return escape_unprintable("\n\n".join(parts)) + "\n"


def list_remarks(record: LoadRecord) -> list[str]:
    """What a reader must know before using the tables, a sentence each."""
    result, said = record.result, []
    if record.interrupted:
        said.append(f"Interrupted: {record.interrupted}.")
    if not record.measured:
        return [*said, "Nothing was measured: the steady state was not reached, or nothing was received."]
    total = result.total
    said.append(
        f"{result.length:.1f} s of steady state: {total.sent} sent, {total.received} received ({result.rate:.0f}/s), "
        f"{total.lost} lost, {total.bounced.total()} bounced, {total.duplicates} received twice, "
        f"{total.out_of_order} out of order."
    )
    if total.bounced:
        said.append("Bounced: " + ", ".join(f"{count} {name}" for name, count in total.bounced.most_common()) + ".")
    said += _fault_sentences(record)
    for route, count in record.unaccounted.items():
        if count > 0:
            said.append(f"It is not known what became of {count} messages on {route}.")
        else:
            said.append(f"{-count} messages on {route} were counted twice.")
    if not record.settled and not record.unaccounted:
        said.append("It is not known what was lost: not every worker reported what its users received.")
    if total.both:
        said.append(f"{total.both} were received although they had bounced.")
    if result.reconnects:
        said.append(f"{result.reconnects} connections were lost and opened again.")
    if record.gone:
        said.append(f"{len(record.gone)} users could not reconnect, the first: {record.gone[0]['user']}.")
    if delayed := find_delayed_links(result):
        said.append(_describe_delayed(delayed))
    said += [f"The generator was the limit: {reason}." for reason in record.limits]
    return [*said, *(f"Note: {remark}." for remark in record.remarks)]


def _describe_delayed(links: Sequence[str]) -> str:
    shown = ", ".join(links[:_LINKS]) + (f" and {len(links) - _LINKS} more" if len(links) > _LINKS else "")
    return (
        f"On {shown} half of the messages are fast, and p95 is near 40 ms: this looks like Nagle's algorithm against "
        "delayed acknowledgements; docs/load-numbers.md has the server's option that avoids it."
    )


def _head(record: LoadRecord) -> str:
    load, plan = record.job.load, record.result.plan
    asked = ", ".join(str(one[name]) for name in ("traffic", "arrivals") if name in (one := {**load, **plan}))
    users = f"{load['users']} users" if "users" in load else "users as the lab has servers"
    length = f", {plan['seconds']:g} s after {plan['warmup']:g} s of warm-up" if plan else ""
    workers = plan.get("workers", record.job.workers)
    said = f"{record.job.lab}: {asked}{', ' if asked else ''}{users}{length}, {workers} worker{'s' * (workers != 1)}"
    return "\n".join(wrap_text(said, then="  "))


def _routes(result: Result) -> str:
    """Delays in ms from the intended time, and from the time when a message was written."""
    head = ["route", "sent", "expected", "received", "lost", "bounced", "twice", "per s", "p50", "p95", "p99", "max"]
    head += ["written p50", "p95", "p99", "max"]
    slowest = sorted(result.routes, key=lambda name: -result.routes[name].intended.percentile(99))
    shown = sorted(slowest[:LINES])
    rows = [_route(name, result.routes[name], result.length) for name in shown]
    if len(slowest) > LINES:
        rows.append([f"({len(slowest) - LINES} more)", *[""] * (len(head) - 1)])
    return format_table(head, [*rows, _route("all", result.total, result.length)], figures=True)


def _route(name: str, tally: RouteCounters, length: float) -> Row:
    counts = [tally.sent, tally.expected, tally.received, tally.lost, tally.bounced.total(), tally.duplicates]
    delays = [
        f"{1000 * value:.1f}"
        for histogram in (tally.intended, tally.actual)
        for value in (*(histogram.percentile(percent) for percent in (50, 95, 99)), histogram.max)
    ]
    return [name, *counts, f"{tally.received / length:.0f}" if length else "-", *delays]


def _machines(record: LoadRecord) -> str:
    result = record.result
    cores, cost = result.cores(), result.cost()
    readings = {**result.usage, **record.generators}
    rows = [
        [name, f"{cores[name]:.2f}", f"{cost[name]:.3f}" if name in cost else "-", _memory(readings.get(name, []))]
        for name in (*result.usage, *sorted(set(cores) - set(result.usage)))
        if name in cores
    ]
    text = format_table(["process", "cores", "CPU s per 1000", "memory"], rows, figures=True)
    tick = f"{1000 * result.plan['tick']:g} ms"
    lag = f"p50 {_ms(result, 50)} ms, p99 {_ms(result, 99)} ms"
    said = f"send lag of the generator, which looks at what is due each {tick}: {lag}"
    return "\n".join([text, *wrap_text(said, then="  ")])


def _memory(readings: Sequence[Usage]) -> str:
    return f"{max(one.rss for one in readings) / _MIB:.0f} MiB" if readings else "-"


def _ms(result: Result, percent: float) -> str:
    return f"{1000 * result.lag.percentile(percent):.1f}"


def _links(result: Result) -> str:
    received = {name: tally.received for name, tally in result.routes.items()}
    rows = [
        [
            name,
            count,
            f"{count / result.length / 1000:.1f}",
            f"{count / received[name]:.0f}" if received.get(name) else "-",
        ]
        for name, count in sorted(result.links.items())
    ]
    return format_table(["link", "bytes", "KB per s", "bytes per message"], rows, figures=True)


def _faults(record: LoadRecord) -> str:
    """Times since the start of the steady state, as a fault's `at`."""
    head = ["fault", "from s", "to s", "lost", "bounced", "after: lost", "bounced", "recovery s"]
    rows = [
        [
            one.title[:_NAME],
            f"{one.applied - record.warmup:.1f}",
            "-" if one.healed is None else f"{one.healed - record.warmup:.1f}",
            one.lost_during,
            one.bounced_during,
            one.lost_after,
            one.bounced_after,
            "-" if one.recovery is None else f"{one.recovery:.1f}",
        ]
        for one in record.faults[:LINES]
    ]
    if len(record.faults) > LINES:
        rows.append([f"({len(record.faults) - LINES} more)", *[""] * (len(head) - 1)])
    return format_table(head, rows, figures=True)


def _fault_sentences(record: LoadRecord) -> list[str]:
    if not record.faults:
        return []
    said = [f"{describe_caused(record)}: bounds are for the rest.".capitalize()]
    shown = record.faults[:LINES]
    said += [f"Fault {one.title} did not act as declared: {one.error}." for one in shown if one.error]
    return said + [f"Recovery from {one.title} is not known: {one.unknown}." for one in shown if one.unknown]
