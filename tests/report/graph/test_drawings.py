"""Drawings of topologies are golden files; what they promise beyond that is counted."""

import re
from itertools import combinations
from math import hypot
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lab.report.graph import GRAPH_FORMATS
from lab.report.graph.layout import compute_layout
from lab.report.graph.terminal import READABLE, render
from lab.topology.facts import find_neighbours
from lab.topology.files import load
from tests.topology.golden import same

GRAPHS = Path(__file__).parent / "graphs"
SUFFIXES = {"terminal": "txt", "mermaid": "mmd", "dot": "dot", "svg": "svg"}
DRAWN = ["hidden-island", "slow-link", "two-islands", "plaintext", "full-mesh:6,direct=true"]
BIG = ["full-mesh:7,latency=20ms", "scale-free:60,m=2,seed=1,software=prosody+ejabberd", "ring:30", "small-world:12"]


def _file(text: str, kind: str) -> Path:
    return GRAPHS / f"{re.sub(r'[^a-z0-9]+', '_', text)}.{SUFFIXES[kind]}"


@pytest.mark.parametrize("kind", GRAPH_FORMATS)
@pytest.mark.parametrize("text", DRAWN)
def test_drawings(text: str, kind: str) -> None:
    same(GRAPH_FORMATS[kind].draw(load(text)), _file(text, kind))


@pytest.mark.parametrize("text", BIG)
def test_larger_ones_in_a_terminal(text: str) -> None:
    same(render(load(text)), _file(text, "terminal"))


@pytest.mark.parametrize("text", ["ring:30", "random:25,p=0.1", "tree:30", "islands:20,islands=5", "grid:30"])
def test_a_tree_in_the_terminal_has_every_server_and_every_link_once(text: str) -> None:
    topology = load(text)
    assert len(topology.servers) <= READABLE
    body = render(topology).split("\n\n")[1].splitlines()
    assert len(body) == len(topology.servers)
    branches = sum("── " in line for line in body)
    others = sum(len(line.partition("also ")[2].split(", ")) for line in body if "also " in line)
    assert branches + others == len(topology.links)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("text", [*DRAWN, *BIG, "full-mesh:24", "long"])
def test_a_drawing_for_the_terminal_fits_it(
    text: str, width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    names = [f"{letter}{'-server' * 7}" for letter in "abc"]
    if text == "long":
        links = "".join(f"  - {{between: [{a}, {b}], latency: 20ms}}\n" for a, b in combinations(names, 2))
        servers = "".join(f"  {name}: {{}}\n" for name in names)
        text = str(tmp_path / "long.yaml")
        Path(text).write_text(f"teaches: {'What is said of it, ' * 9}\nservers:\n{servers}links:\n{links}")
    lines = render(load(text)).splitlines()
    assert [line for line in lines if len(line) > width] == []
    if text.endswith(".yaml"):
        assert all(any(name in line for line in lines) for name in names), "a name was broken"


@pytest.mark.parametrize(
    "text",
    ["hidden-island", "full-mesh:9", "full-mesh:4", "grid:12", "small-world:12", "scale-free:30,m=2", "random:20,p=0.3",
     "islands:12,islands=4", "triangle"],
)  # fmt: skip
def test_no_link_of_an_svg_is_behind_a_box(text: str, tmp_path: Path) -> None:
    if text == "triangle":  # three in a row, of which the outer two are linked as well
        text = str(tmp_path / "triangle.yaml")
        Path(text).write_text(
            "servers: {a: {}, b: {}, c: {}, d: {}, e: {}}\n"
            "links: [{between: [a, b]}, {between: [b, c]}, {between: [c, d]}, {between: [d, e]}, {between: [a, e]},\n"
            "  {between: [a, c], latency: 40ms}]\n"
        )
    topology = load(text)
    root = ElementTree.fromstring(GRAPH_FORMATS["svg"].draw(topology))
    boxes = [
        tuple(float(box.get(key, "")) for key in ("x", "y", "width", "height"))
        for box in root.iter("{http://www.w3.org/2000/svg}rect")
        if box.get("class") == "box"
    ]
    width, height = map(float, root.get("viewBox", "").split()[2:])
    ways = _ways_of_links(root)
    assert len(ways) == len(topology.links)
    for way in ways:
        met = [box for box in boxes if any(_inside(point, box) for point in way)]
        ends = [box for box in boxes if _inside(way[0], box) or _inside(way[-1], box)]
        assert met == ends, f"a link from {way[0]} to {way[-1]} passes behind a box"
        assert all(0 <= x <= width and 0 <= y <= height for x, y in way), "a link leaves the drawing"


def _inside(point: tuple[float, float], box: tuple[float, ...]) -> bool:
    left, top, width, height = box
    return left < point[0] < left + width and top < point[1] < top + height


def _ways_of_links(root: ElementTree.Element) -> list[list[tuple[float, float]]]:
    """Points of each link, straight or curved, at distances of a few pixels."""
    ways = []
    for element in root.iter():
        if element.get("class") not in ("link", "shaped"):
            continue
        if element.tag.endswith("line"):
            x1, y1, x2, y2 = (float(element.get(key, "")) for key in ("x1", "y1", "x2", "y2"))
            x, y = (x1 + x2) / 2, (y1 + y2) / 2
        elif "Q" in element.get("d", ""):
            x1, y1, x, y, x2, y2 = map(float, re.findall(r"-?[0-9]+", element.get("d", "")))
        else:
            continue  # in the legend
        steps = [n / 300 for n in range(301)]
        ways.append(
            [
                (
                    (1 - t) ** 2 * x1 + 2 * t * (1 - t) * x + t * t * x2,
                    (1 - t) ** 2 * y1 + 2 * t * (1 - t) * y + t * t * y2,
                )
                for t in steps
            ]
        )
    return ways


@pytest.mark.parametrize(
    "text", ["hidden-island", "full-mesh:9", "star:25", "random:40", "islands:12,islands=4", "line:6,latency=1s"]
)
def test_boxes_of_an_svg_stand_clear_of_each_other(text: str) -> None:
    topology = load(text)
    root = ElementTree.fromstring(GRAPH_FORMATS["svg"].draw(topology))
    boxes = [
        tuple(float(box.get(key, "")) for key in ("x", "y", "width", "height"))
        for box in root.iter("{http://www.w3.org/2000/svg}rect")
        if box.get("class") == "box"
    ]
    assert len(boxes) == len(topology.servers)
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in boxes)
    for (x1, y1, w1, h1), (x2, y2, w2, h2) in combinations(boxes, 2):
        assert x1 + w1 <= x2 or x2 + w2 <= x1 or y1 + h1 <= y2 or y2 + h2 <= y1


def test_a_line_is_straight_and_a_ring_is_round() -> None:
    line = compute_layout(find_neighbours(load("line:6")))
    assert max(y for _, y in line.values()) < 0.05
    assert [line[f"s{n}"][0] for n in range(1, 7)] == sorted(line[f"s{n}"][0] for n in range(1, 7))
    ring = compute_layout(find_neighbours(load("ring:8"))).values()
    middle = (sum(x for x, _ in ring) / 8, sum(y for _, y in ring) / 8)
    radii = [hypot(x - middle[0], y - middle[1]) for x, y in ring]
    assert max(radii) < 1.1 * min(radii)


def test_what_people_name_cannot_break_a_drawing(tmp_path: Path) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text("teaches: \"<script>alert('&')</script>\"\nservers: {a: {}, b: {}}\n")
    ElementTree.fromstring(GRAPH_FORMATS["svg"].draw(load(file)))
