"""Positions of the servers of a graph, in units of one link; equal graphs have equal positions.

Each part is laid out by stress majorization (Gansner, Koren, North 2004): distances in the drawing approach the
distances in the graph. It starts from two arrangements, a circle and classical scaling, and keeps the one with less
stress. Parts are then placed side by side. Large parts stay on a circle. It uses no random numbers and no numpy.
"""

from __future__ import annotations

from itertools import combinations
from math import atan2, ceil, cos, hypot, pi, sin, sqrt

from lab.topology.facts import Neighbours, compute_distances, find_components

Point = tuple[float, float]

LARGE = 100  # servers; of more, the quadratic cost is noticeable (a second) and a drawing cannot be read
ROUNDS = 300  # at most
CONVERGED = 0.0005  # no further round once a round moves no point farther than this
POWER_STEPS = 60
GAP = 1.0  # between parts
ISOTROPIC = 0.02  # points that spread equally in all directions are not rotated


def compute_layout(graph: Neighbours) -> dict[str, Point]:
    """A point for each server; linked ones are about 1 apart."""
    placed: dict[str, Point] = {}
    groups = find_components(graph)
    columns = ceil(sqrt(len(groups)))
    left = top = row_height = 0.0
    for number, group in enumerate(groups):
        if number and number % columns == 0:
            left, top, row_height = 0.0, top + row_height + GAP, 0.0
        points = _part(graph, group)
        placed |= {name: (x + left, y + top) for name, (x, y) in zip(group, points, strict=True)}
        left += max(x for x, _ in points) + GAP
        row_height = max(row_height, *(y for _, y in points))
    return placed


def _part(graph: Neighbours, group: tuple[str, ...]) -> list[Point]:
    """Points of one connected part, with the corner at 0, 0."""
    if len(group) == 1:
        return [(0.0, 0.0)]
    circle = _circle(len(group))
    degrees = {len(graph[name]) for name in group}
    # No form shows a full mesh better than a circle.
    if len(group) > LARGE or (len(group) > 3 and degrees == {len(group) - 1}):
        return _at_origin(circle)
    tables = [compute_distances(graph, name) for name in group]
    far = [[float(table[other]) for other in group] for table in tables]
    starts = [circle, _classical_scaling(far)]
    best = min((_majorized(start, far) for start in starts), key=lambda points: round(_stress(points, far), 6))
    return _at_origin(_rotated(best))


def _circle(count: int) -> list[Point]:
    """The first on top, clockwise, neighbours 1 apart."""
    radius = 0.5 / sin(pi / count) if count > 2 else 0.5
    return [(radius * sin(2 * pi * i / count), -radius * cos(2 * pi * i / count)) for i in range(count)]


def _classical_scaling(far: list[list[float]]) -> list[Point]:
    """Classical scaling: the two strongest eigenvectors of the centred squared distances, by power iteration."""
    count = len(far)
    squared = [[d * d for d in row] for row in far]
    means = [sum(row) / count for row in squared]
    mean = sum(means) / count
    centred = [[(means[i] + means[j] - squared[i][j] - mean) / 2 for j in range(count)] for i in range(count)]
    first = _eigenvector(centred, [])
    second = _eigenvector(centred, [first])
    return list(zip(first, second, strict=True))


def _eigenvector(matrix: list[list[float]], before: list[list[float]]) -> list[float]:
    """Scaled by the root of its eigenvalue, orthogonal to those before."""
    count = len(matrix)
    # Any start works that no symmetry of the graph maps onto itself.
    vector = [sin(1.0 + 3.7 * i * (1 + len(before))) for i in range(count)]
    length = 0.0
    for _ in range(POWER_STEPS):
        for other in before:
            norm = sum(o * o for o in other) or 1.0
            part = sum(v * o for v, o in zip(vector, other, strict=True)) / norm
            vector = [v - part * o for v, o in zip(vector, other, strict=True)]
        vector = [sum(m * v for m, v in zip(row, vector, strict=True)) for row in matrix]
        length = sqrt(sum(v * v for v in vector))
        if length < 1e-9:  # a line has no second dimension
            return [0.001 * sin(2.3 * i) for i in range(count)]
        vector = [v / length for v in vector]
    return [v * sqrt(length) for v in vector]


def _majorized(points: list[Point], far: list[list[float]]) -> list[Point]:
    """Stress majorization: each point in turn moves to where its distances put it, weighted by their inverse
    squares.
    """
    points = list(points)
    for _ in range(ROUNDS):
        moved = 0.0
        for i, (x, y) in enumerate(points):
            sum_x = sum_y = weights = 0.0
            for j, (other_x, other_y) in enumerate(points):
                if i == j:
                    continue
                wanted = far[i][j]
                weight = 1 / (wanted * wanted)
                now = max(hypot(x - other_x, y - other_y), 1e-6)
                sum_x += weight * (other_x + wanted * (x - other_x) / now)
                sum_y += weight * (other_y + wanted * (y - other_y) / now)
                weights += weight
            points[i] = (sum_x / weights, sum_y / weights)
            moved = max(moved, hypot(points[i][0] - x, points[i][1] - y))
        if moved < CONVERGED:
            break
    return points


def _stress(points: list[Point], far: list[list[float]]) -> float:
    return sum(
        ((hypot(points[i][0] - points[j][0], points[i][1] - points[j][1]) - far[i][j]) / far[i][j]) ** 2
        for i, j in combinations(range(len(points)), 2)
    )


def _rotated(points: list[Point]) -> list[Point]:
    """Rotated so that the longest side is horizontal and the first server is on the left."""
    count = len(points)
    middle_x, middle_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    moved = [(x - middle_x, y - middle_y) for x, y in points]
    xx, yy = sum(x * x for x, _ in moved), sum(y * y for _, y in moved)
    xy = sum(x * y for x, y in moved)
    if hypot(xx - yy, 2 * xy) < ISOTROPIC * (xx + yy):
        return moved
    angle = -atan2(2 * xy, xx - yy) / 2
    turned = [(x * cos(angle) - y * sin(angle), x * sin(angle) + y * cos(angle)) for x, y in moved]
    flip_x, flip_y = (-1 if turned[0][0] > 0.01 else 1), (-1 if turned[0][1] > 0.01 else 1)
    return [(x * flip_x, y * flip_y) for x, y in turned]


def _at_origin(points: list[Point]) -> list[Point]:
    left, top = min(x for x, _ in points), min(y for _, y in points)
    return [(x - left, y - top) for x, y in points]
