"""Which links of a drawing bend, and how far: a straight one would pass behind the box of another server.

A link is straight, or a quadratic Bézier curve with one control point beside its middle. The nearest control point
whose curve meets no other box is taken; where there is none within `FARTHEST`, the one that meets the fewest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import hypot

from lab.report.graph.layout import LARGE, Point

CLEARANCE = 6.0  # pixels between a link and a box that it passes
STEP = 24.0  # pixels from one control point to the next that is tried
FARTHEST = 900.0  # pixels of a control point from the middle of its link
POINTS = 48  # of a curve that are compared with boxes

Pair = tuple[str, str]
Box = tuple[float, float, float, float]  # left, top, right, bottom


def bends(
    pairs: Sequence[Pair], points: Mapping[str, Point], sizes: Mapping[str, Point]
) -> tuple[dict[Pair, Point], int]:
    """The control points of the links that bend, and how many boxes they meet all the same.

    None bends in a drawing of more servers than anybody can follow.
    """
    if len(points) > LARGE:
        return {}, 0
    boxes = {name: _box(points[name], sizes[name]) for name in points}
    found, met = {}, 0
    for a, b in pairs:
        start, end = points[a], points[b]
        others = [box for name, box in boxes.items() if name not in (a, b)]
        if any(_crosses(start, end, box) for box in others):
            left, found[a, b] = _control(start, end, others)
            met += left
    return found, met


def curve(start: Point, control: Point, end: Point) -> list[Point]:
    """Points of a curve from `start` to `end`."""
    shares = [number / POINTS for number in range(POINTS + 1)]
    weights = [((1 - t) ** 2, 2 * t * (1 - t), t * t) for t in shares]
    return [
        (a * start[0] + b * control[0] + c * end[0], a * start[1] + b * control[1] + c * end[1]) for a, b, c in weights
    ]


def middle(start: Point, control: Point, end: Point) -> Point:
    """The point of a curve that is halfway."""
    return ((start[0] + 2 * control[0] + end[0]) / 4, (start[1] + 2 * control[1] + end[1]) / 4)


def _control(start: Point, end: Point, others: Sequence[Box]) -> tuple[int, Point]:
    """How many boxes the best curve meets, and its control point, the nearest of the best."""
    best: tuple[int, Point] | None = None
    for control in _controls(start, end):
        met = _met(curve(start, control, end), others)
        if best is None or met < best[0]:
            best = met, control
        if not met:
            break
    assert best is not None
    return best


def _controls(start: Point, end: Point) -> Iterator[Point]:
    """Control points on both sides of the middle, nearest first."""
    length = hypot(end[0] - start[0], end[1] - start[1]) or 1.0
    across = ((start[1] - end[1]) / length, (end[0] - start[0]) / length)
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    for number in range(1, int(FARTHEST / STEP) + 1):
        for side in (-1, 1):
            aside = side * number * STEP
            yield (x + across[0] * aside, y + across[1] * aside)


def _met(way: Sequence[Point], boxes: Sequence[Box]) -> int:
    """How many boxes a curve meets."""
    return sum(any(left <= x <= right and top <= y <= bottom for x, y in way) for left, top, right, bottom in boxes)


def _box(point: Point, size: Point) -> Box:
    (x, y), width, height = point, size[0] / 2 + CLEARANCE, size[1] / 2 + CLEARANCE
    return (x - width, y - height, x + width, y + height)


def _crosses(start: Point, end: Point, box: Box) -> bool:
    """Whether a straight line meets a box: the spans of it that are inside on both axes overlap."""
    enter, leave = 0.0, 1.0
    for axis in (0, 1):
        along, low, high = end[axis] - start[axis], box[axis] - start[axis], box[axis + 2] - start[axis]
        if abs(along) < 1e-9:
            if low > 0 or high < 0:
                return False
            continue
        near, far = sorted((low / along, high / along))
        enter, leave = max(enter, near), min(leave, far)
    return enter <= leave
