"""The page of a study, from its folder alone: the table, and charts of each figure against metrics of the graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.load.analysis.study import METRICS, build_plot_points
from lab.load.analysis.study_folder import CSV, STUDY, StudyData, read_study
from lab.load.report.html import charts
from lab.load.report.html import document as html
from lab.load.report.html.vega import render_svg
from lab.load.report.limit import FILE as LIMIT_FILE
from lab.load.report.study import describe_intervals, format_mean, judge_study
from lab.report.html.document import render_parts
from lab.runner.folders import PAGE, write

#: Charts: column of the table, title, unit, caption.
FIGURES = {
    "p50_ms": ("Delay, p50", "milliseconds", "Half of the messages were faster."),
    "p99_ms": ("Delay, p99", "milliseconds", "One message in a hundred was slower."),
    "failed": ("Lost or bounced", "% of the messages", "Messages that were not received, or came back as an error."),
    "cpu_per_1000": ("Cost", "CPU s per 1000 messages", "Of all servers together, without relays and generator."),
}
#: The same, of some studies only.
MORE_FIGURES = {
    "limit": ("Highest rate", "messages per second", "Within the bounds; all other figures are at this rate."),
    "recovery_s": (
        "Recovery",
        "seconds",
        "From the healing of a fault until the load was as before; the longest.",
    ),
}
_BARS = " Bars are the intervals of the table; points at the same place are drawn beside each other."
_HEAD = {
    "limit": "highest rate per s", "recovery_s": "recovery s", "recovered": "faults recovered from %",
    "p50_ms": "p50 ms", "p99_ms": "p99 ms", "loss": "lost %", "failed": "lost or bounced %", "per_second": "per s",
    "cpu_per_1000": "CPU s per 1000", "clients_per_1000": "clients' CPU s per 1000",
    "busiest_share": "busiest server's share", "link_bytes": "bytes per message",
}  # fmt: skip
#: Metrics on the x axis of the charts.
DRAWN = ("diameter", "max_degree", "betweenness")
_PERCENT = ("loss", "failed", "recovered")
_LIMITS = (
    "Intervals contain what varies between runs on this machine, not between machines, versions or settings. A few "
    "topologies can show a relation but not prove it. Users write along links only: pairs of servers without a link "
    "have no delay. Servers and generator share one machine, so more servers are also more work for it."
)


def write_page(folder: Path) -> Path:
    """Write the page of a study's folder; its path. Raises UserError if it is not one."""
    path = folder / PAGE
    write(path, render_page(read_study(folder)))
    return path


def render_page(study: StudyData) -> str:
    """The whole file."""
    rows = study["table"]
    title = f"Study: {study['asked'].get('load', 'a load')} over topologies"
    parts = [f"<h1>{html.escape_text(title)}</h1>", _verdict(study), html.render_terms(study["asked"])]
    if rows:
        parts += [
            _table(rows, study["runs"]),
            *_figures(study),
            _correlations(study["correlations"]),
            _runs(study["runs"]),
        ]
    else:
        parts.append("<p>Nothing was measured: there is nothing to draw.</p>")
    parts += [
        html.render_files({STUDY: "the table as JSON", CSV: "as CSV"}),
        f'<p class="muted">{html.escape_text(_LIMITS)}</p>',
    ]
    return render_parts(title, parts)


def _verdict(study: StudyData) -> str:
    return html.render_verdict(*judge_study(study))


def _table(rows: Sequence[Mapping[str, Any]], runs: Sequence[Mapping[str, Any]]) -> str:
    names = [name for name in _HEAD if any(name in row for row in rows)]
    lines = [
        [row["topology"], row["software"], row["runs"], _seeds(row, runs), row["servers"], row["links"]]
        + [row[name] for name in METRICS]
        + [_mean(row, name) for name in names]
        for row in rows
    ]
    metrics = [name.replace("_", " ") for name in METRICS]
    head = ["topology", "software", "runs", "seeds", "servers", "links", *metrics, *(_HEAD[name] for name in names)]
    return html.render_table(f"Means over the seeds. {describe_intervals(rows)}".rstrip(), head, lines)


def _seeds(row: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> html.Links:
    """The seeds of a row's runs, also of those that measured nothing; each leads to its run."""
    own = (run for run in runs if run["topology"] == row["topology"])
    return html.Links([(str(run["seed"]), _address(run)) for run in own])


def _address(run: Mapping[str, Any]) -> str:
    """What a run's link leads to: the page of a load, the trials of a search."""
    return f"{run['folder']}/{LIMIT_FILE if 'search' in run else PAGE}"


def _mean(row: Mapping[str, Any], name: str) -> str | None:
    if name not in row:
        return None
    return format_mean(row, name, 100 if name in _PERCENT else 1)


def _figures(study: StudyData) -> list[str]:
    found, rows, kinds = [], study["table"], _software(study["arguments"])
    more = {name: of for name, of in MORE_FIGURES.items() if any(name in row for row in rows)}
    for name, (title, unit, caption) in {**more, **FIGURES}.items():
        shown = [row for row in rows if name in row]
        if not any(row[name] for row in shown):
            why = "It was 0 in every run." if shown else "It was not measured."
            found.append(html.render_figure(title, why, ""))
            continue
        points = {metric: _scaled(build_plot_points(shown, metric, name), name) for metric in DRAWN}
        drawing = render_svg(charts.build_study_scatter(points, unit), name, f"{title}. {caption}")
        found.append(html.render_figure(title, caption + _BARS, drawing))
        beside = _beside(shown, kinds, name)
        if len({one["software"] for one in beside}) > 1:
            drawing = render_svg(
                charts.study_bars(beside, unit), f"{name}-software", f"{title}, by software. {caption}"
            )
            found.append(
                html.render_figure(f"{title}, by software", f"{caption} Lines are the intervals of the table.", drawing)
            )
    return found


def _software(arguments: Mapping[str, Any]) -> list[str]:
    """What `--software` said, in order."""
    given = arguments.get("software")
    return [one for one in given if isinstance(one, str)] if isinstance(given, list) else []


def _beside(rows: Sequence[Mapping[str, Any]], kinds: Sequence[str], name: str) -> list[dict[str, Any]]:
    """Points of the rows that `--software` made, under the topology's own name and what that option said."""
    points = [
        {
            "topology": row["topology"].removesuffix(f" {kind}"),
            "software": kind,
            **{end: row[f"{name}_{end}"] for end in ("low", "high")},
            "y": row[name],
        }
        for row in rows
        for kind in kinds
        if row["topology"].endswith(f" {kind}")
    ]
    return _scaled(points, name)


def _scaled(points: Sequence[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    scale = 100 if name in _PERCENT else 1
    return [
        {**one, **{key: one[key] * scale for key in ("y", "low", "high") if one[key] is not None}} for one in points
    ]


def _correlations(found: Mapping[str, Mapping[str, float | None]]) -> str:
    if not found:
        return ""
    names = list(next(iter(found.values()), {}))
    lines = [
        [metric.replace("_", " "), *(None if of[name] is None else f"{of[name]:+.2f}" for name in names)]
        for metric, of in found.items()
    ]
    caption = "Rank correlation (Spearman) of the rows above: +1 rises with it, −1 falls"
    return html.render_table(caption, ["of the graph", *(_HEAD.get(name, name) for name in names)], lines)


def _runs(runs: Sequence[Mapping[str, Any]]) -> str:
    items = "".join(
        f'<li><a href="{html.escape_text(_address(run))}">'
        f"{html.escape_text(run['topology'])}, seed {run['seed']:d}</a>"
        f"{': the generator was the limit' if run['limited'] else ''}</li>"
        for run in runs
    )
    return f"<h2>Runs</h2><ol>{items}</ol>" if items else ""
