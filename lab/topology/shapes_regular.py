"""Shapes that follow a rule: pair, line, ring, star, tree, grid, full-mesh, islands. Their seed changes nothing."""

from __future__ import annotations

from itertools import combinations, pairwise
from math import isqrt
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from lab.topology.shape import Count, Edges, Misfit, Shape


class Pair(Shape):
    """Two linked servers, a and b."""

    kind: Literal["pair"]
    servers: Count = Field(2, description="Always 2.")

    @field_validator("servers")
    @classmethod
    def _two(cls, servers: int) -> int:
        if servers != 2:
            raise ValueError(f"a pair has 2 servers, not {servers}: use line, ring or full-mesh for more")
        return servers

    def names(self) -> tuple[str, ...]:
        """a and b."""
        return ("a", "b")

    def edges(self) -> Edges:
        """One edge."""
        import networkx as nx

        return list(nx.path_graph(2).edges())


class Line(Shape):
    """Each server is linked with the one before and the one after."""

    kind: Literal["line"]

    def edges(self) -> Edges:
        """A path."""
        import networkx as nx

        return list(nx.path_graph(self.servers).edges())


class Ring(Shape):
    """A line whose ends are linked too."""

    smallest = 3
    why = "the shortest ring is a triangle; two servers are a pair"
    kind: Literal["ring"]

    def edges(self) -> Edges:
        """A cycle."""
        import networkx as nx

        return list(nx.cycle_graph(self.servers).edges())


class Star(Shape):
    """A hub, and leaves that are linked with the hub only. Servers do not relay: leaves cannot reach each other."""

    smallest = 3
    why = "a hub and two leaves; two servers are a pair"
    kind: Literal["star"]

    def names(self) -> tuple[str, ...]:
        """hub, leaf1, leaf2, …"""
        return ("hub", *(f"leaf{number}" for number in range(1, self.servers)))

    def edges(self) -> Edges:
        """A star around vertex 0."""
        import networkx as nx

        return list(nx.star_graph(self.servers - 1).edges())


class Tree(Shape):
    """s1 is the root, each server has the same number of children until the servers are used up."""

    kind: Literal["tree"]
    branches: Count = Field(2, description="Children of each server.")

    def edges(self) -> Edges:
        """A full tree, filled level by level."""
        import networkx as nx

        return list(nx.full_rary_tree(self.branches, self.servers).edges())


class Grid(Shape):
    """Rows and columns; each server is linked with the next in its row and in its column."""

    smallest = 4
    why = "the smallest grid has 2 rows of 2"
    kind: Literal["grid"]
    rows: Count | None = Field(None, description="Rows; by default the most square grid of so many servers.")

    @model_validator(mode="after")
    def _rectangle(self) -> Grid:
        if self.rows is not None and self.servers % self.rows:
            raise Misfit("rows", f"{self.servers} servers do not fill {self.rows} rows: one must divide the other")
        if self.rows is None and self._height() == 1:
            other = f"take {self.servers - 1} or {self.servers + 1}, or a line"
            raise Misfit("servers", f"{self.servers} servers make no grid, it is a prime number: {other}")
        return self

    def _height(self) -> int:
        if self.rows is not None:
            return self.rows
        return next(rows for rows in range(isqrt(self.servers), 0, -1) if self.servers % rows == 0)

    def edges(self) -> Edges:
        """Vertices row by row."""
        import networkx as nx

        columns = self.servers // self._height()
        grid = nx.grid_2d_graph(self._height(), columns)
        return [(a * columns + b, c * columns + d) for (a, b), (c, d) in grid.edges()]


class FullMesh(Shape):
    """Everyone is linked with everyone."""

    kind: Literal["full-mesh"]

    def edges(self) -> Edges:
        """A complete graph."""
        import networkx as nx

        return list(nx.complete_graph(self.servers).edges())


class Islands(Shape):
    """Groups of servers: full meshes inside, no link between them, or one where `bridges` is true."""

    smallest = 4
    why = "two islands of two"
    kind: Literal["islands"]
    islands: Annotated[int, Field(strict=True, ge=2, le=26)] = Field(2, description="Into how many groups (2 to 26).")
    bridges: Annotated[bool, Field(strict=True)] = Field(False, description="One link from each island to the next.")

    @model_validator(mode="after")
    def _inhabited(self) -> Islands:
        if self.servers < 2 * self.islands:
            least = 2 * self.islands
            raise Misfit(
                "islands", f"{self.islands} islands need at least {least} servers, two on each, not {self.servers}"
            )
        return self

    def _groups(self) -> list[list[int]]:
        share, rest = divmod(self.servers, self.islands)
        sizes = [share + (number < rest) for number in range(self.islands)]
        starts = [sum(sizes[:number]) for number in range(self.islands)]
        return [list(range(start, start + size)) for start, size in zip(starts, sizes, strict=True)]

    def names(self) -> tuple[str, ...]:
        """a1, a2, …, b1, b2, …: the letter is the island."""
        return tuple(
            f"{chr(ord('a') + island)}{number}"
            for island, group in enumerate(self._groups())
            for number in range(1, len(group) + 1)
        )

    def edges(self) -> Edges:
        """Complete graphs side by side, and the bridges."""
        groups = self._groups()
        inside = [pair for group in groups for pair in combinations(group, 2)]
        return inside + [(left[-1], right[0]) for left, right in pairwise(groups) if self.bridges]
