"""A drawing of a topology as one SVG file: no script, no font, no other file; readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import combinations

from lab.report.graph import labels
from lab.report.graph.bends import bends, curve, middle
from lab.report.graph.layout import Point, compute_layout
from lab.topology.facts import compute_facts, find_neighbours
from lab.topology.spec import Link, Server, Topology

SUFFIXES = (".svg",)

UNIT = 170  # pixels of one link before boxes are spread
MARGIN = 28
LINE = 16  # pixels from one line of text to the next
LETTER = 7.0  # mean width of a letter at 13 pixels, rather too large than too small
MAX_SPREAD = 5.0  # the factor by which a drawing grows at most so that boxes do not overlap
Ends = tuple[str, str]  # of a link, as it names them
SPREADS = (1.0, 1.25, 1.6, 2.0)  # factors by which it grows further so that links need not pass behind boxes
PEOPLE = 3  # that are named at a server
SMALL = 30  # more servers than this are drawn with their name only

_STYLE = (
    "text{font-family:system-ui,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1b1f24}"
    ".title{font-size:18px;font-weight:600}.quiet{font-size:12px;fill:#57606a}"
    ".name{font-size:13px;font-weight:600;text-anchor:middle}.sub{font-size:11px;text-anchor:middle;fill:#57606a}"
    ".odd{fill:#b3261e}.link{stroke:#8c959f;stroke-width:1.6}.shaped{stroke:#57606a;stroke-width:2.2}"
    ".label{font-size:11px;text-anchor:middle}.box{stroke-width:1.6}"
)


def render(topology: Topology, people: Mapping[str, Sequence[str]] | None = None) -> str:
    """The drawing; the same topology gives the same text. `people` are names to show below each server's name."""
    count = len(topology.servers)
    boxes = {
        server.name: [*_lines(server, count), *_people((people or {}).get(server.name, ()))]
        for server in topology.servers
    }
    sizes = {
        name: (max(LETTER * len(line) for line in lines) + 24, LINE * len(lines) + 12.0)
        for name, lines in boxes.items()
    }
    points, bent, (width, height) = _with_bends(topology, _box_positions(topology, sizes), sizes)
    top = MARGIN + 22 + (LINE + 6) * bool(topology.teaches)
    notes = [labels.describe_totals(compute_facts(topology)), labels.describe_unlinked(topology)]
    widest = max([width, *(6.4 * len(text) for text in (*notes, topology.teaches))]) + 2 * MARGIN
    shift = (widest - width) / 2
    points = {name: (x + shift, y + top) for name, (x, y) in points.items()}
    bent = {pair: (x + shift, y + top) for pair, (x, y) in bent.items()}
    bottom = top + height + MARGIN
    parts = [_heading(topology), *(_line(link, points, bent) for link in topology.links)]
    parts += [_label(link, points, bent) for link in topology.links if labels.describe_link(link)]
    parts += [_box(server, boxes[server.name], points[server.name], sizes[server.name]) for server in topology.servers]
    parts += _legend(topology, bottom)
    parts += [_text(MARGIN, bottom + 24 + LINE * (row + 1), "quiet", note) for row, note in enumerate(notes)]
    total = bottom + 24 + LINE * len(notes) + MARGIN
    size = f'width="{widest:.0f}" height="{total:.0f}" viewBox="0 0 {widest:.0f} {total:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="t">'
    title = f'<title id="t">{escape(topology.name)}: {escape(notes[0])}</title>'
    paper = '<rect width="100%" height="100%" rx="10" fill="#ffffff"/>'
    return "\n".join([head, title, f"<style>{_STYLE}</style>", paper, *parts, "</svg>"]) + "\n"


def _lines(server: Server, count: int) -> list[str]:
    """The lines in a server's box: its name, its software, what is unusual."""
    if count > SMALL:
        return [server.name]
    return [server.name, labels.describe_software(server), *labels.list_remarks(server)]


def _people(names: Sequence[str]) -> list[str]:
    """The line of the people of a server: their names, or the first ones and how many more."""
    if not names:
        return []
    more = len(names) - PEOPLE
    return [f"☺ {', '.join(names[:PEOPLE])}{f' +{more}' if more > 0 else ''}"]


def _box_positions(topology: Topology, sizes: dict[str, Point]) -> dict[str, Point]:
    """Centres of the boxes, spread until no two overlap."""
    raw = {name: (x * UNIT, y * UNIT) for name, (x, y) in compute_layout(find_neighbours(topology)).items()}
    room = {
        link.pair: (_label_width(labels.describe_link(link)), 20.0)
        for link in topology.links
        if labels.describe_link(link)
    }
    pairs = [(a, b, room.get(frozenset((a, b)), (10.0, 10.0))) for a, b in combinations(raw, 2)]
    spread = min(MAX_SPREAD, max([1.0, *(_spread_factor(raw, sizes, a, b, between) for a, b, between in pairs)]))
    return {name: (x * spread, y * spread) for name, (x, y) in raw.items()}


def _with_bends(
    topology: Topology, points: dict[str, Point], sizes: dict[str, Point]
) -> tuple[dict[str, Point], dict[Ends, Point], Point]:
    """The centres of the boxes, the control points of links that bend, and the size of the drawing with both.

    The boxes are spread further while a link has no way past them.
    """
    pairs = [(link.a, link.b) for link in topology.links]
    for spread in SPREADS:
        spaced = {name: (x * spread, y * spread) for name, (x, y) in points.items()}
        bent, met = bends(pairs, spaced, sizes)
        if not met:
            break
    ways = [point for (a, b), control in bent.items() for point in curve(spaced[a], control, spaced[b])]
    corners = [
        (x + side * sizes[name][0] / 2, y + side * sizes[name][1] / 2)
        for name, (x, y) in spaced.items()
        for side in (-1, 1)
    ]
    left, top = (min(point[axis] for point in (*ways, *corners)) for axis in (0, 1))
    right, bottom = (max(point[axis] for point in (*ways, *corners)) for axis in (0, 1))
    moved = {name: (x - left, y - top) for name, (x, y) in spaced.items()}
    return moved, {pair: (x - left, y - top) for pair, (x, y) in bent.items()}, (right - left, bottom - top)


def _spread_factor(points: dict[str, Point], sizes: dict[str, Point], a: str, b: str, between: Point) -> float:
    """The factor by which the drawing must grow until two boxes do not overlap, with `between` pixels between them."""
    factors = []
    for axis in (0, 1):
        wanted = (sizes[a][axis] + sizes[b][axis]) / 2 + between[axis]
        factors.append(wanted / max(abs(points[a][axis] - points[b][axis]), 1e-6))
    return min(factors)


def _heading(topology: Topology) -> str:
    title = _text(MARGIN, MARGIN + 8, "title", topology.name)
    return title + (_text(MARGIN, MARGIN + 8 + LINE + 4, "quiet", topology.teaches) if topology.teaches else "")


def _line(link: Link, points: dict[str, Point], bent: dict[Ends, Point]) -> str:
    """The link: a straight line, or a curve around the boxes that are in its way."""
    (x1, y1), (x2, y2) = points[link.a], points[link.b]
    shaped = not (link.forward.neutral and link.backward.neutral)
    dash = ' stroke-dasharray="6 5"' if link.direct else ""
    style = "shaped" if shaped else "link"
    if control := bent.get((link.a, link.b)):
        way = f"M{x1:.0f} {y1:.0f}Q{control[0]:.0f} {control[1]:.0f} {x2:.0f} {y2:.0f}"
        return f'<path class="{style}" d="{way}" fill="none"{dash}/>'
    return f'<line class="{style}" x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}"{dash}/>'


def _label(link: Link, points: dict[str, Point], bent: dict[Ends, Point]) -> str:
    """The link's conditions on a white background in the middle of its line; arrows point as the directions do."""
    (x1, y1), (x2, y2) = points[link.a], points[link.b]
    text = labels.describe_link(link, link.a if x1 <= x2 else link.b)
    control = bent.get((link.a, link.b), ((x1 + x2) / 2, (y1 + y2) / 2))
    (x, y), width = middle((x1, y1), control, (x2, y2)), _label_width(text)
    background = (
        f'<rect x="{x - width / 2:.0f}" y="{y - 9:.0f}" width="{width:.0f}" height="18" rx="9" fill="#ffffff"/>'
    )
    return background + _text(x, y + 4, "label", text)


def _label_width(text: str) -> float:
    return 6.2 * len(text) + 10


def _box(server: Server, lines: list[str], point: Point, size: Point) -> str:
    (x, y), (width, height) = point, size
    fill, stroke = server.manifest.colours
    left, top = f"{x - width / 2:.0f}", f"{y - height / 2:.0f}"
    shape = f'<rect class="box" x="{left}" y="{top}" width="{width:.0f}" height="{height:.0f}" rx="9"'
    first = y - LINE * (len(lines) - 1) / 2 + 4.5
    styles = ["name", "sub", *("sub" if line.startswith("☺") else "sub odd" for line in lines[2:])]
    styles += ["sub"] * len(lines)
    rows = [_text(x, first + LINE * row, styles[row], line) for row, line in enumerate(lines)]
    return f'{shape} fill="{fill}" stroke="{stroke}"/>' + "".join(rows)


def _legend(topology: Topology, y: float) -> list[str]:
    """A coloured square for each software that occurs, and a dashed line where there are direct links."""
    parts, x = [], float(MARGIN)
    seen = {labels.describe_software(server): server.manifest.colours for server in topology.servers}
    for name, (fill, stroke) in seen.items():
        parts.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="12" height="12" rx="3" fill="{fill}" stroke="{stroke}"/>')
        parts.append(_text(x + 18, y + 10, "quiet", name))
        x += 18 + 6.4 * len(name) + 18
    if any(link.direct for link in topology.links):
        parts.append(f'<path class="link" d="M{x:.0f} {y + 6:.0f}h24" stroke-dasharray="6 5"/>')
        parts.append(_text(x + 30, y + 10, "quiet", "direct, past the relays"))
    return parts


def _text(x: float, y: float, style: str, text: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{style}">{escape(text)}</text>'
