"""The charts of a load's page with their captions; in place of a chart without data, the reason."""

from __future__ import annotations

from lab.load.report.html import charts, series, topology_map
from lab.load.report.html import document as html
from lab.load.report.html.page_data import LoadPageData
from lab.load.report.html.vega import COLOURS, Spec, render_svg
from lab.load.workload.recipients import PRESENCE

_NOTHING = "Nothing was measured: there is nothing to draw."


def render_charts(data: LoadPageData) -> list[str]:
    """All charts as HTML, in the order of the page."""
    found = series.list_time_bins(data.record.result)
    if not found:
        return [f"<p>{html.escape_text(_NOTHING)}</p>"]
    curve = charts.LoadCurve(data.warmup, data.end, max(found[-1].end, min(data.end, found[-1].end + 1)), data.bands)
    return [
        _topology_map(data),
        _throughput(data, found, curve),
        _delay(found, curve),
        _percentiles(data),
        _cores(data, found, curve),
        _memory(data, curve),
        _failures(data),
        _bytes(data),
    ]


def _drawn(title: str, caption: str, name: str, spec: Spec) -> str:
    return html.render_figure(title, caption, render_svg(spec, name, f"{title}. {caption}"))


def _without(title: str, why: str) -> str:
    return html.render_figure(title, why, "")


def _topology_map(data: LoadPageData) -> str:
    title = "Topology heat map"
    if data.topology is None:
        return _without(title, "The folder has no plan, so the topology is not known.")
    caption = (
        "Servers by the cores that they used, links by the delay of their messages and as wide as they were used, in "
        "the steady state. Messages within a server and to rooms belong to no link. Point at a server or link for its "
        "figures."
    )
    drawing = render_svg(
        topology_map.build_map(data.topology, data.record.result), "topology-map", f"{title}. {caption}"
    )
    return html.render_figure(title, caption, drawing + html.render_numbered(topology_map.list_key(data.topology)))


def _throughput(data: LoadPageData, found: list[series.TimeBin], curve: charts.LoadCurve) -> str:
    caption = "Messages due, written by the generator, and received, in each second."
    if data.arrivals is None:
        closed = str(data.asked.get("arrivals", "")).startswith("closed:")
        caption += " The model is closed: no message is due at a time." if closed else " It is not known what was due."
    if any(route.startswith(PRESENCE) for route in data.record.result.routes):
        caption += " A presence counts once for each contact that receives it."
    if "room" in data.record.result.routes:
        caption += " A message to a room is received by each of its occupants."
    return _drawn(
        "Throughput", caption, "throughput", charts.build_throughput(series.list_throughput(data, found), curve)
    )


def _delay(found: list[series.TimeBin], curve: charts.LoadCurve) -> str:
    title = "Delay over time"
    rows = series.list_delays(found)
    if not rows:
        return _without(title, "Nothing was received.")
    caption = (
        "From the time when a message was due until it was received, on a logarithmic axis. Dashed and grey: how late "
        "the generator was; delays near that line are caused by the generator."
    )
    return _drawn(title, caption, "delay", charts.build_delay(rows, curve))


def _percentiles(data: LoadPageData) -> str:
    title = "Percentiles by route"
    names, rows = charts.list_percentiles(data.record.result.routes, data.record.result.total)
    if not rows:
        return _without(title, "Nothing was received in the steady state.")
    left = len([one for one in data.record.result.routes.values() if one.intended.counts]) - len(
        [name for name in names if name != charts.ALL]
    )
    caption = "The share of a route's messages that were received within a delay. A curve ends at its slowest message."
    if left:
        caption += f" The {charts.ROUTES} slowest of {left + charts.ROUTES} routes."
    return _drawn(title, caption, "percentiles", charts.build_percentiles(names, rows))


def _cores(data: LoadPageData, found: list[series.TimeBin], curve: charts.LoadCurve) -> str:
    result = data.record.result
    every = series.list_cores(result, found)
    names, rows = series.select_largest(every)
    if not rows:
        return _without("Processors", "Nothing was metered.")
    caption = "Cores used by each server and, dashed, by each worker of the generator, which can use one."
    return _drawn(
        "Processors",
        caption + _left_out(len({row["series"] for row in every}), len(names)),
        "cores",
        charts.build_processes(rows, curve, "cores used", names, [name for name in names if name not in result.usage]),
    )


def _memory(data: LoadPageData, curve: charts.LoadCurve) -> str:
    result = data.record.result
    every = series.list_memory({**result.usage, **data.record.generators})
    names, rows = series.select_largest(every)
    if not rows:
        return _without("Memory", "Nothing was metered.")
    caption = "Resident memory; memory that processes of a server share is counted for each of them."
    return _drawn(
        "Memory",
        caption + _left_out(len({row["series"] for row in every}), len(names)),
        "memory",
        charts.build_processes(
            rows, curve, "MiB resident", names, [name for name in names if name not in result.usage]
        ),
    )


def _left_out(every: int, shown: int) -> str:
    return f" The {shown} with the most of {every}; the table has all." if every > shown else ""


def _failures(data: LoadPageData) -> str:
    title, total = "Bounced and lost", data.record.result.total
    rows = [
        {"series": name, "v": count, "text": str(count), "tip": f"{name}: {count} bounced"}
        for name, count in total.bounced.most_common()
    ]
    if total.lost:
        rows.append({"series": "lost", "v": total.lost, "text": str(total.lost), "tip": f"{total.lost} lost"})
    if not rows:
        known = "nothing was lost" if data.record.settled else "it is not known what was lost"
        return _without(title, f"Nothing bounced in the steady state, and {known}.")
    caption = "Messages of the steady state that bounced, by the error's condition, and those that were not received."
    return _drawn(title, caption, "failures", charts.build_bars(rows, "messages", COLOURS[3], whole=True))


def _bytes(data: LoadPageData) -> str:
    title, links = "Bytes on links", data.record.result.links
    if not links:
        return _without(title, "No link has a relay that counts bytes: direct links have none.")
    received = {name: tally.received for name, tally in data.record.result.routes.items()}
    rows = [
        {
            "series": name,
            "v": count / 1000,
            "text": f"{count / 1000:,.0f} KB"
            + (f", {count / received[name]:.0f} B per message" if received.get(name) else ""),
            "tip": f"{name}: {count} bytes",
        }
        for name, count in sorted(links.items(), key=lambda item: -item[1])[: 2 * series.LINES]
    ]
    caption = "Bytes that relays carried in the steady state, with TLS and acknowledgements."
    caption += _left_out(len(links), len(rows))
    return _drawn(title, caption, "bytes", charts.build_bars(rows, "kilobytes", COLOURS[0]))
