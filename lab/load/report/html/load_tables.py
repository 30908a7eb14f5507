"""The tables of a load's page: routes, processes, links, error conditions, seconds, lost messages."""

from __future__ import annotations

from lab.load.metrics.rows import list_routes
from lab.load.report.html import document as html
from lab.load.report.html import series
from lab.load.report.html.page_data import LoadPageData

_MIB = 1 << 20
_ROUTES = {
    "route": "route", "sent": "sent", "expected": "expected", "received": "received", "lost": "lost",
    "bounced": "bounced", "duplicates": "twice", "out_of_order": "out of order", "per_second": "per s",
    "p50_ms": "p50", "p90_ms": "p90", "p99_ms": "p99", "p99.9_ms": "p99.9", "max_ms": "max",
    "written_p50_ms": "written p50", "written_p99_ms": "p99",
}  # fmt: skip


def render_tables(data: LoadPageData) -> list[str]:
    """All tables as HTML, in the order of the page; tables without rows are left out."""
    return [_routes(data), _processes(data), _links(data), _conditions(data), _faults(data), *_folded(data)]


def _routes(data: LoadPageData) -> str:
    rows = [[row[name] for name in _ROUTES] for row in list_routes(data.record.result)]
    caption = (
        "Routes in the steady state; delays in ms from the time when a message was due, then from when it was written"
    )
    return html.render_table(caption, list(_ROUTES.values()), rows)


def _processes(data: LoadPageData) -> str:
    result = data.record.result
    cores, cost = result.cores(), result.cost()
    readings = {**result.usage, **data.record.generators}
    rows = [
        [
            name,
            f"{cores[name]:.3f}",
            f"{cost[name]:.3f}" if name in cost else None,
            f"{max(one.rss for one in readings[name]) / _MIB:.0f}" if readings.get(name) else None,
        ]
        for name in (*result.usage, *sorted(set(cores) - set(result.usage)))
        if name in cores
    ]
    return html.render_table("Processes", ["process", "cores", "CPU s per 1000 messages", "MiB at most"], rows)


def _links(data: LoadPageData) -> str:
    result = data.record.result
    received = {name: tally.received for name, tally in result.routes.items()}
    rows = [
        [name, count, f"{count / result.length / 1000:.1f}" if result.length else None,
         f"{count / received[name]:.0f}" if received.get(name) else None]
        for name, count in sorted(result.links.items())
    ]  # fmt: skip
    return html.render_table("Links with a relay", ["link", "bytes", "KB per s", "bytes per message"], rows)


def _conditions(data: LoadPageData) -> str:
    rows = [
        [route, condition, count]
        for route, tally in sorted(data.record.result.routes.items())
        for condition, count in tally.bounced.most_common()
    ]
    return html.render_table("Bounced, by route and condition", ["route", "condition", "messages"], rows)


def _faults(data: LoadPageData) -> str:
    rows = [
        [one.title, one.action, ", ".join("->".join(link) for link in one.links) or ", ".join(one.servers),
         f"{one.applied - data.warmup:.1f}", None if one.healed is None else f"{one.healed - data.warmup:.1f}",
         one.lost_during, one.bounced_during, one.lost_after, one.bounced_after,
         one.unknown or one.error or f"{one.recovery:.1f}"]
        for one in data.record.faults
    ]  # fmt: skip
    head = ["fault", "action", "on", "from s", "to s", "lost", "bounced", "after: lost", "bounced", "recovery s"]
    return html.render_table("Declared faults; times since the start of the steady state", head, rows)


def _folded(data: LoadPageData) -> list[str]:
    missing = [[one.get(name) for name in ("sender", "receiver", "room", "sequence")] for one in data.record.missing]
    gone = [[one["user"], one["reason"]] for one in data.record.gone]
    return [
        html.render_folded("Every interval", _intervals(data)),
        html.render_folded(
            "Lost messages, up to a hundred",
            html.render_table("By number of the user", ["sender", "receiver", "room", "the pair's message"], missing),
        ),
        html.render_folded(
            "Users who could not reconnect", html.render_table("Not reconnected", ["user", "reason"], gone)
        ),
    ]


def _intervals(data: LoadPageData) -> str:
    rows = []
    for one in series.list_time_bins(data.record.result):
        tally, due = one.second.tally, data.intended(one.start, one.end)
        delays = [1000 * tally.intended.percentile(percent) for percent in series.DELAYS.values()]
        rows.append(
            [
                f"{one.start}–{one.end} s",
                "warm-up" if one.end <= data.warmup else "drain" if one.start >= data.end else "steady",
                None if due is None else f"{due / (one.end - one.start):.1f}",
                f"{tally.sent / one.length:.1f}",
                f"{tally.received / one.length:.1f}",
                tally.bounced.total(),
                *(f"{value:.1f}" if tally.intended.counts else None for value in delays),
                f"{1000 * one.second.lag.percentile(99):.1f}",
                one.second.reconnects,
            ]
        )
    head = ["seconds", "phase", "due per s", "sent per s", "received per s", "bounced", *series.DELAYS]
    return html.render_table("Delays in ms; times since the start of the load", [*head, "late p99", "reconnects"], rows)
