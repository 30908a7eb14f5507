"""Which drawings a load's page has, with what there is to know of each; in place of one that cannot be, why."""

from __future__ import annotations

from lab.load.report.html import curves, series, timeline
from lab.load.report.html import document as html
from lab.load.report.html import topology_map as heat
from lab.load.report.html.story import Story
from lab.load.report.html.vega import COLOURS, Spec, svg
from lab.load.workload.recipients import PRESENCE

_NOTHING = "Nothing was measured: there is nothing to draw."


def all_of(story: Story) -> list[str]:
    """In the order of the page, as HTML."""
    found = series.time_bins(story.kept.result)
    if not found:
        return [f"<p>{html.text(_NOTHING)}</p>"]
    course = timeline.Course(story.warmup, story.end, max(found[-1].end, min(story.end, found[-1].end + 1)))
    return [
        _heat(story),
        _throughput(story, found, course),
        _delay(found, course),
        _percentiles(story),
        _cores(story, found, course),
        _memory(story, course),
        _failures(story),
        _bytes(story),
    ]


def _drawn(title: str, caption: str, name: str, spec: Spec) -> str:
    return html.figure(title, caption, svg(spec, name, f"{title}. {caption}"))


def _without(title: str, why: str) -> str:
    return html.figure(title, why, "")


def _heat(story: Story) -> str:
    title = "Heat on the graph"
    if story.topology is None:
        return _without(title, "The folder has no plan, so the topology is not known.")
    caption = (
        "Servers by the cores that they kept busy, links by the delay of what went over them and as wide as they were "
        "used, in the steady state. What stays on a server, and rooms, belong to no link. Point at one for its figures."
    )
    return _drawn(title, caption, "heat", heat.graph(story.topology, story.kept.result))


def _throughput(story: Story, found: list[series.TimeBin], course: timeline.Course) -> str:
    caption = "What was due, what the generator wrote, and what came to its receivers, in each second."
    if story.arrivals is None:
        closed = str(story.asked.get("arrivals", "")).startswith("closed:")
        caption += (
            " The model is closed: what was due follows from what came." if closed else " What was due is not known."
        )
    if any(route.startswith(PRESENCE) for route in story.kept.result.routes):
        caption += " A presence counts for each of those who are told."
    if "room" in story.kept.result.routes:
        caption += " A message to a room is received by everybody in it."
    return _drawn("Throughput", caption, "throughput", timeline.throughput(series.throughput(story, found), course))


def _delay(found: list[series.TimeBin], course: timeline.Course) -> str:
    title = "Delay over time"
    rows = series.delays(found)
    if not rows:
        return _without(title, "Nothing was received.")
    caption = (
        "From the time when a message was due to the receiver's hands, on a logarithmic axis. Broken and grey: how "
        "late the generator itself was; delays near that line are its own."
    )
    return _drawn(title, caption, "delay", timeline.delay(rows, course))


def _percentiles(story: Story) -> str:
    title = "Percentiles by route"
    names, rows = curves.percentile_rows(story.kept.result.routes, story.kept.result.total)
    if not rows:
        return _without(title, "Nothing was received in the steady state.")
    left = len([one for one in story.kept.result.routes.values() if one.intended.counts]) - len(
        [name for name in names if name != curves.ALL]
    )
    caption = "How many percent of a route's messages came within which delay. A curve ends at its slowest message."
    if left:
        caption += f" The {curves.ROUTES} slowest of {left + curves.ROUTES} routes."
    return _drawn(title, caption, "percentiles", curves.percentiles(names, rows))


def _cores(story: Story, found: list[series.TimeBin], course: timeline.Course) -> str:
    result = story.kept.result
    every = series.cores(result, found)
    names, rows = series.largest(every)
    if not rows:
        return _without("Processors", "Nothing was metered.")
    caption = "Cores kept busy by each server and, broken, by each worker of the generator, which has one at most."
    return _drawn(
        "Processors",
        caption + _left_out(len({row["series"] for row in every}), len(names)),
        "cores",
        timeline.processes(
            rows, course, "cores kept busy", names, [name for name in names if name not in result.usage]
        ),
    )


def _memory(story: Story, course: timeline.Course) -> str:
    result = story.kept.result
    every = series.memory({**result.usage, **story.kept.generators})
    names, rows = series.largest(every)
    if not rows:
        return _without("Memory", "Nothing was metered.")
    caption = "Resident memory; what processes of a server share counts for each of them."
    return _drawn(
        "Memory",
        caption + _left_out(len({row["series"] for row in every}), len(names)),
        "memory",
        timeline.processes(rows, course, "MiB resident", names, [name for name in names if name not in result.usage]),
    )


def _left_out(every: int, shown: int) -> str:
    return f" The {shown} with the most of {every}; the table has all." if every > shown else ""


def _failures(story: Story) -> str:
    title, total = "Bounced and lost", story.kept.result.total
    rows = [
        {"series": name, "v": count, "text": str(count), "tip": f"{name}: {count} bounced"}
        for name, count in total.bounced.most_common()
    ]
    if total.lost:
        rows.append(
            {"series": "never came", "v": total.lost, "text": str(total.lost), "tip": f"{total.lost} never came"}
        )
    if not rows:
        known = "nothing was lost" if story.kept.settled else "what was lost is not known"
        return _without(title, f"Nothing bounced in the steady state, and {known}.")
    caption = "Messages of the steady state that came back as an error, by its condition, and those that never came."
    return _drawn(title, caption, "failures", curves.bars(rows, "messages", COLOURS[3]))


def _bytes(story: Story) -> str:
    title, links = "Bytes on links", story.kept.result.links
    if not links:
        return _without(title, "No link had a relay that could count: direct links have none.")
    received = {name: tally.received for name, tally in story.kept.result.routes.items()}
    rows = [
        {
            "series": name,
            "v": count / 1000,
            "text": f"{count / 1000:,.0f} KB"
            + (f", {count / received[name]:.0f} B a message" if received.get(name) else ""),
            "tip": f"{name}: {count} bytes",
        }
        for name, count in sorted(links.items(), key=lambda item: -item[1])[: 2 * series.LINES]
    ]
    caption = "What relays carried in the steady state, TLS and acknowledgements included."
    caption += _left_out(len(links), len(rows))
    return _drawn(title, caption, "bytes", curves.bars(rows, "kilobytes", COLOURS[0]))
