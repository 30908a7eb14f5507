"""The space-time diagram of a run as one SVG file: no script, no font, no other file; readable on light and dark pages.

Lanes are devices and servers, time runs downwards and pauses are shortened; a line is a stanza on one hop.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from html import escape
from math import log2

from lab.checks import Judgement
from lab.metrics.record import RunRecord
from lab.report.space_time import NONE, Band, Lane, SpaceTime, StanzaLine, describe_kind, list_shown
from lab.system.terminal import escape_unprintable

STANZAS = 500  # drawn: a longer drawing is not looked at
WIDTH, LEFT, TOP = 150, 76, 84  # pixels: of a lane, of the margin with times, of the head
LEAST, STEEP, MOST = 7.0, 6.5, 90.0  # pixels between two events: at least, for each doubling of the time, at most
SENTENCE = 150  # characters of the verdict
LETTERS = 19  # of a lane's title
CHARACTER = 7.2  # pixels of a character of the title, at least the mean
SYMBOLS = {"valid": "✓", "failed": "✗", "unknown": "?", "expected": "✗", "error": "↩", NONE: ""}
COLOURS = {"valid": "#1a7f37", "failed": "#b3261e", "unknown": "#8a6100", "expected": "#7d3fb8", "error": "#b3261e",
           NONE: "#57606a"}  # fmt: skip

_STYLE = (
    "text{font-family:system-ui,'Segoe UI',Helvetica,Arial,sans-serif;font-size:11px;fill:#1b1f24}"
    ".title{font-size:17px;font-weight:600}.quiet{fill:#57606a}.head{font-size:13px;font-weight:600;text-anchor:middle}"
    ".time{text-anchor:end;fill:#57606a}.step{fill:#0a58ca}.fault{fill:#b3261e}"
    ".lane{stroke:#d0d7de;stroke-width:1.5}.server{stroke:#57606a;stroke-width:2.5}"
    + "".join(f".{name} path{{stroke:{one};fill:none;stroke-width:1.6}}.{name} .mark{{fill:{one};font-weight:700}}"
              for name, one in COLOURS.items())
)  # fmt: skip


def render(record: RunRecord, judgement: Judgement) -> str:
    """The drawing; the same run gives the same text. It ends with a newline."""
    diagram = SpaceTime(record, judgement)
    every = list_shown(diagram)
    shown = every[:STANZAS]
    scale = _Scale(diagram, shown)
    lanes = {lane.name: LEFT + WIDTH * place + WIDTH / 2 for place, lane in enumerate(diagram.lanes)}
    said = judgement.sentence if len(judgement.sentence) <= SENTENCE else f"{judgement.sentence[:SENTENCE]}…"
    width = max(LEFT + WIDTH * len(lanes) + 16, CHARACTER * len(said) * 0.85 + 40)
    height = scale.bottom + 60
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" role="img" '
    title = f"{record.started.scenario if record.started else 'A run'} on {record.topology.name}: {judgement.value}"
    parts = [
        f'{head}viewBox="0 0 {width:.0f} {height:.0f}" aria-labelledby="t">',
        f'<title id="t">{_text(title)}</title><style>{_STYLE}</style>',
        '<rect width="100%" height="100%" rx="10" fill="#ffffff"/>',
        f'<text class="title" x="14" y="26">{_text(title)}</text>',
        f'<text class="quiet" x="14" y="44">{_text(said)}</text>',
        *(_draw_band(diagram, band, lanes, scale) for band in diagram.bands),
        *(_draw_lane(lane, lanes[lane.name], scale.bottom) for lane in diagram.lanes),
        *_draw_steps(diagram, scale, width),
        *(_draw_stanza(diagram, line, lanes, scale) for line in shown),
        f'<text class="quiet" x="14" y="{height - 16:.0f}">{_text(_describe(diagram, every))}</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Scale:
    """The height of each time: pauses are shortened, and no two events lie on each other."""

    def __init__(self, diagram: SpaceTime, shown: Sequence[StanzaLine]) -> None:
        times = {one.at for line in shown for one in line.path.observations}
        times |= {step.began for step in diagram.steps}
        times |= {time for band in diagram.bands for time in (band.began, band.ended) if time is not None}
        self._times = sorted(times) or [diagram.began]
        self._heights = [TOP + 22.0]
        for before, at in zip(self._times, self._times[1:], strict=False):
            gap = min(MOST, LEAST + STEEP * log2(1 + 1000 * (at - before)))
            self._heights.append(self._heights[-1] + gap)

    @property
    def bottom(self) -> float:
        """The height of the end."""
        return self._heights[-1] + 24

    def find(self, at: float) -> float:
        """The height of one of the known times; of another that of the one before."""
        return self._heights[max(0, bisect_right(self._times, at) - 1)]


def _draw_lane(lane: Lane, x: float, bottom: float) -> str:
    title = lane.title if len(lane.title) <= LETTERS else f"{lane.title[: LETTERS - 1]}…"
    kind, round_ = ("lane", 14) if lane.person else ("lane server", 4)
    return (
        f'<line class="{kind}" x1="{x:.0f}" y1="{TOP}" x2="{x:.0f}" y2="{bottom:.0f}"/>'
        f'<rect x="{x - WIDTH / 2 + 6:.0f}" y="{TOP - 28}" width="{WIDTH - 12}" height="28" rx="{round_}" '
        'fill="#f6f8fa" stroke="#8c959f"/>'
        f'<text class="head" x="{x:.0f}" y="{TOP - 10}"><title>{_text(lane.name)}</title>{_text(title)}</text>'
    )


def _draw_band(diagram: SpaceTime, band: Band, lanes: dict[str, float], scale: _Scale) -> str:
    top = scale.find(band.began)
    bottom = scale.bottom if band.ended is None else max(top + 3, scale.find(band.ended))
    columns = [lanes[one.name] for one in diagram.lanes if not band.servers or one.server in band.servers]
    colour = "#b3261e" if band.fault else "#57606a"
    boxes = "".join(
        f'<rect x="{x - WIDTH / 2:.0f}" y="{top:.1f}" width="{WIDTH}" height="{bottom - top:.1f}" fill="{colour}" '
        'fill-opacity="0.13"/>'
        for x in columns
    )
    said = f"{band.title} {band.detail}".strip()
    label = f'<text class="fault" x="{columns[0] - WIDTH / 2 + 5:.0f}" y="{top + 12:.1f}">{_text(band.title)}</text>'
    return f"<g><title>{_text(said)}</title>{boxes}{label}</g>" if columns else ""


def _draw_steps(diagram: SpaceTime, scale: _Scale, width: float) -> Iterator[str]:
    for step in diagram.steps:
        y = scale.find(step.began)
        yield (
            f'<path d="M0 {y:.1f}H{width:.0f}" stroke="#0a58ca" stroke-dasharray="2 4"/>'
            f'<text class="step" x="6" y="{y - 3:.1f}">{"✗ " if step.failed else ""}{_text(step.text)}</text>'
        )


def _draw_stanza(diagram: SpaceTime, line: StanzaLine, lanes: dict[str, float], scale: _Scale) -> str:
    path = line.path
    ways, found = [], path.observations
    for one in found:
        if one.before is None or one.place not in lanes or found[one.before].place not in lanes:
            continue
        before = found[one.before]
        x1, x2, y1, y2 = lanes[before.place], lanes[one.place], scale.find(before.at), scale.find(one.at)
        if x1 == x2:
            ways.append(f'<path d="M{x1:.0f} {y1:.1f}V{y2:.1f}" stroke-width="4" opacity=".6"/>')
            continue
        dashed = "" if one.seen and line.value != "error" else ' stroke-dasharray="5 4"'
        side = -7 if x2 > x1 else 7
        ways.append(
            f'<path d="M{x1:.0f} {y1:.1f}L{x2:.0f} {y2:.1f}"{dashed}/><path d="M{x2 + side:.0f} {y2 - 4:.1f}L{x2:.0f} '
            f'{y2:.1f}L{x2 + side:.0f} {y2 + 4:.1f}"/>'
        )
    first, last = found[0], found[-1]
    x, y = lanes.get(first.place, LEFT), scale.find(first.at)
    what = describe_kind(line)
    said = f"{what} {path.id} from {path.sender} to {path.receiver}. {line.outcome}".strip()
    wrong = diagram.first_wrong is not None and diagram.lines[diagram.first_wrong] is line
    return (
        f'<g class="{line.value}"><title>{_text(said)}</title>{"".join(ways)}'
        f'<text class="time" x="{LEFT - 8}" y="{y + 4:.1f}">{first.at - diagram.began:.3f}</text>'
        f'<text class="quiet" x="{x + 6:.0f}" y="{y - 3:.1f}">{_text(what)}</text>'
        f'<text class="mark" x="{lanes.get(last.place, LEFT) + 8:.0f}" y="{scale.find(last.at) + 4:.1f}">'
        f"{SYMBOLS[line.value]}{' first wrong' * wrong}</text></g>"
    )


def _describe(diagram: SpaceTime, every: Sequence[StanzaLine]) -> str:
    left = len(diagram.lines) - min(len(every), STANZAS)
    return f"{min(len(every), STANZAS)} stanzas; {left} more are on the run's page" if left else f"{len(every)} stanzas"


def _text(text: str) -> str:
    return escape(escape_unprintable(text))
