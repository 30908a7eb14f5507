"""The page of one load, from its folder alone: verdict, settings, charts, tables."""

from __future__ import annotations

import time
from pathlib import Path

from lab.load.analysis.thresholds import describe_bounds
from lab.load.metrics.fault_record import count_caused
from lab.load.metrics.run_folder import INTERVALS, RESULT, ROUTES, SAMPLES, LoadRecord
from lab.load.report import text
from lab.load.report.html import document as html
from lab.load.report.html import load_charts, load_tables
from lab.load.report.html.page_data import LoadPageData, read_page_data
from lab.report.html.document import render_parts
from lab.runner.folders import PAGE, REPORT, write
from lab.topology.words import count as _count

_FILES = {
    REPORT: "the report as text",
    ROUTES: "routes",
    INTERVALS: "seconds",
    RESULT: "all figures, with histograms",
    SAMPLES: "every event, in order",
}


def write_page(folder: Path) -> Path:
    """Write the page of a load's folder; its path. Raises UserError if it is not one, or its load never ended."""
    path = folder / PAGE
    write(path, render_page(read_page_data(folder)))
    return path


def render_page(data: LoadPageData) -> str:
    """The whole file."""
    title = f"{data.name} on {data.topology_name}"
    parts = [f"<h1>{html.escape_text(title)}</h1>", html.render_verdict(data.verdict.value, data.verdict.sentence)]
    parts.append(html.render_sentences([*text.list_remarks(data.record), *_generator(data.record)]))
    if data.record.measured:
        parts.append(html.render_tiles(_tiles(data)))
    parts += ["<h2>Settings</h2>", html.render_terms(_settings(data)), *load_charts.render_charts(data)]
    if data.record.result.seconds:
        parts += ["<h2>Figures</h2>", *load_tables.render_tables(data)]
    parts.append(
        html.render_files({name: said for name, said in _FILES.items() if (data.record.folder / name).is_file()})
    )
    parts.append(f'<p class="muted">{html.escape_text(_LIMITS)}</p>')
    return render_parts(title, parts)


_LIMITS = (
    "Servers, generator and relays share one machine and compete for its CPU time: the figures compare setups on this "
    "machine and are not the capacity of another. A delay begins when a message was due, even if the generator was "
    "late, and ends when the receiver has read it. The warm-up is shown but not counted."
)


def _generator(record: LoadRecord) -> list[str]:
    """That the generator was not the limit, with the figures that show it; the report says it where it was."""
    if not record.measured or record.limits:
        return []
    busy = [cores for name, cores in record.result.cores().items() if name not in record.result.usage]
    most = f"its busiest worker used {max(busy):.2f} of a core" if busy else "its workers were not metered"
    late = 1000 * record.result.lag.percentile(99)
    return [f"The generator was not the limit: {most}, and 99 % of its ticks were at most {late:.1f} ms late."]


def _tiles(data: LoadPageData) -> dict[str, str]:
    result, total = data.record.result, data.record.result.total
    cores = result.cores()
    found = {
        "received per s": f"{result.rate:.0f}",
        "p50": f"{1000 * total.intended.percentile(50):.1f} ms",
        "p99": f"{1000 * total.intended.percentile(99):.1f} ms",
        "slowest": f"{1000 * total.intended.max:.0f} ms",
        "lost": str(total.lost) if data.record.settled or total.lost else "not known",
        "bounced": str(total.bounced.total()),
    }
    if data.record.faults:
        lost, bounced = (count_caused(result.failures, kind, data.record.faults) for kind in ("lost", "bounced"))
        found |= {"of these lost under faults": str(lost), "bounced under faults": str(bounced)}
        known = [one.recovery for one in data.record.faults if one.recovery is not None]
        found["longest recovery"] = f"{max(known):.1f} s" if len(known) == len(data.record.faults) else "not known"
    servers = {name: cores[name] for name in result.usage if name in cores}
    if servers:
        name = max(servers, key=lambda one: servers[one])
        found[f"cores of {name}, the busiest server"] = f"{servers[name]:.2f}"
    return found


def _settings(data: LoadPageData) -> dict[str, object]:
    """The settings of the load, with defaults if it was started."""
    job, asked = data.record.job, dict(data.asked)
    found: dict[str, object] = {"load": data.name, "topology": data.topology_name, "lab": job.lab}
    found |= {name: asked[name] for name in ("traffic", "arrivals", "users") if name in asked}
    if "seconds" in asked:
        found["length"] = f"{asked['seconds']:g} s of steady state after {asked.get('warmup', 0):g} s of warm-up"
    found["generator"] = f"{_count(job.workers * job.shard.of, 'worker')}, seed {asked.get('seed', 0)}"
    if "tick" in asked:
        found["generator"] = f"{found['generator']}, a tick each {1000 * asked['tick']:g} ms"
    if "body" in asked:
        found["messages"] = f"bodies of {asked['body']} bytes, {asked.get('encryption', 'plain')}"
    if "security" in asked:
        resumed = "with" if asked.get("resumption") else "without"
        found["connections"] = f"{asked['security']}, {resumed} stream resumption"
    found["cores"] = "servers and generator pinned to separate cores" if job.pin else "shared by all"
    found["bounds"] = describe_bounds(job.bounds) or "none"
    if data.started_at is not None:
        found["started"] = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(data.started_at))
    return found
