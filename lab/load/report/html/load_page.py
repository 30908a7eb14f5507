"""The page of one load, from its folder alone: what was asked, what became of it, drawings, and the figures beneath."""

from __future__ import annotations

import time
from pathlib import Path

from lab.load.analysis import thresholds as bounds
from lab.load.report import text as telling
from lab.load.report.html import document as html
from lab.load.report.html import load_charts as drawings
from lab.load.report.html import load_tables as figures
from lab.load.report.html.story import Story, read_story
from lab.load.run_folder import INTERVALS, RESULT, ROUTES, SAMPLES, Kept
from lab.runner.folders import PAGE, REPORT, write
from lab.topology.words import count as _count

_FILES = {
    REPORT: "the report as text",
    ROUTES: "routes",
    INTERVALS: "seconds",
    RESULT: "all figures, with histograms",
    SAMPLES: "every event as it came",
}


def write_page(folder: Path) -> Path:
    """Write the page of a load's folder; its path. Raises UserError if it is not one, or its load never ended."""
    path = folder / PAGE
    write(path, page(read_story(folder)))
    return path


def page(story: Story) -> str:
    """The whole file."""
    title = f"{story.name} on {story.place}"
    parts = [f"<h1>{html.text(title)}</h1>", html.verdict(story.verdict.value, story.verdict.sentence)]
    parts.append(html.sentences([*telling.sentences(story.kept), *_generator(story.kept)]))
    if story.kept.measured:
        parts.append(html.tiles(_tiles(story)))
    parts += ["<h2>What was asked</h2>", html.terms(_asked(story)), *drawings.all_of(story)]
    if story.kept.result.seconds:
        parts += ["<h2>Figures</h2>", *figures.all_of(story)]
    parts.append(html.files({name: said for name, said in _FILES.items() if (story.kept.folder / name).is_file()}))
    parts.append(f'<p class="quiet">{html.text(_LIMITS)}</p>')
    return html.document(title, parts)


_LIMITS = (
    "Servers, generator and relays share one machine and take time from each other: the figures compare setups on it, "
    "and are no capacity of another. Delays end in the receiver's hands and begin when a message was due, whether or "
    "not the generator was late. The warm-up is shown and counts for nothing."
)


def _generator(kept: Kept) -> list[str]:
    """That the generator was not the limit, with what makes that sure; `telling` says it where it was."""
    if not kept.measured or kept.limits:
        return []
    busy = [cores for name, cores in kept.result.cores().items() if name not in kept.result.usage]
    most = f"its busiest worker had {max(busy):.2f} of a core to do" if busy else "its workers were not metered"
    late = 1000 * kept.result.lag.percentile(99)
    return [f"The generator was not the limit: {most}, and in 99 % of its looks was at most {late:.1f} ms late."]


def _tiles(story: Story) -> dict[str, str]:
    result, total = story.kept.result, story.kept.result.total
    cores = result.cores()
    found = {
        "received per s": f"{result.rate:.0f}",
        "p50": f"{1000 * total.intended.percentile(50):.1f} ms",
        "p99": f"{1000 * total.intended.percentile(99):.1f} ms",
        "slowest": f"{1000 * total.intended.max:.0f} ms",
        "lost": str(total.lost) if story.kept.settled or total.lost else "not known",
        "bounced": str(total.bounced.total()),
    }
    servers = {name: cores[name] for name in result.usage if name in cores}
    if servers:
        name = max(servers, key=lambda one: servers[one])
        found[f"cores of {name}, the busiest server"] = f"{servers[name]:.2f}"
    return found


def _asked(story: Story) -> dict[str, object]:
    """The job, with defaults where the load got as far as its start."""
    job, asked = story.kept.job, dict(story.asked)
    found: dict[str, object] = {"load": story.name, "topology": story.place, "lab": job.lab}
    found |= {name: asked[name] for name in ("traffic", "arrivals", "users") if name in asked}
    if "seconds" in asked:
        found["length"] = f"{asked['seconds']:g} s of steady state after {asked.get('warmup', 0):g} s of warm-up"
    found["generator"] = f"{_count(job.workers * job.part.of, 'worker')}, seed {asked.get('seed', 0)}"
    if "tick" in asked:
        found["generator"] = f"{found['generator']}, a look each {1000 * asked['tick']:g} ms"
    if "body" in asked:
        found["messages"] = f"bodies of {asked['body']} bytes, {asked.get('encryption', 'plain')}"
    if "security" in asked:
        resumed = "with" if asked.get("resumption") else "without"
        found["connections"] = f"{asked['security']}, {resumed} stream resumption"
    found["cores"] = "servers and generator on cores of their own" if job.pin else "shared by all"
    found["bounds"] = bounds.describe_bounds(job.bounds) or "none"
    if story.at is not None:
        found["began"] = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(story.at))
    return found
