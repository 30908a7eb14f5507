"""Shapes drawn by lot from their seed: random, small-world, scale-free. All of them are connected."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from lab.topology.shape import Count, Edges, Misfit, Shape, Share


class Random(Shape):
    """A tree drawn by lot, so that it is connected whatever the seed; then each other pair with probability p."""

    kind: Literal["random"]
    p: Share = Field(0.2, description="Probability of a link for each pair that the tree has not linked (0 to 1).")

    def edges(self) -> Edges:
        """A random spanning tree and an Erdős-Rényi graph on top of it."""
        import networkx as nx

        tree = nx.random_labeled_tree(self.servers, seed=self.seed)
        return list(nx.compose(tree, nx.gnp_random_graph(self.servers, self.p, seed=self.seed)).edges())


class SmallWorld(Shape):
    """A ring of neighbourhoods with a few links rewired far away (Watts and Strogatz 1998), drawn until connected."""

    TRIES: ClassVar[int] = (
        1000  # a draw costs microseconds; a graph not found in so many is practically never connected
    )
    smallest = 3
    why = "a small world starts from a ring"
    kind: Literal["small-world"]
    k: Count | None = Field(
        None, description="Links of each server before rewiring, even; by default 4 (2 with fewer than 6 servers)."
    )
    p: Share = Field(0.2, description="Probability that a link is rewired (0 to 1).")

    @model_validator(mode="after")
    def _neighbours(self) -> SmallWorld:
        if self.k is not None and self.k % 2:
            raise Misfit("k", f"k is {self.k}, but must be even: half of the neighbours are on each side")
        if self.k is not None and self.k >= self.servers:
            raise Misfit("k", f"k is {self.k}, but must be smaller than the number of servers, which is {self.servers}")
        return self

    def edges(self) -> Edges:
        """A connected Watts-Strogatz graph."""
        import networkx as nx

        neighbours = self.k if self.k is not None else (4 if self.servers >= 6 else 2)
        try:
            return list(
                nx.connected_watts_strogatz_graph(
                    self.servers, neighbours, self.p, tries=self.TRIES, seed=self.seed
                ).edges()
            )
        except nx.NetworkXError:
            message = f"no connected graph in {self.TRIES} draws: take a larger k, a smaller p or another seed"
            raise Misfit("k", message) from None


class ScaleFree(Shape):
    """Few hubs and many small servers, as in the public network: newcomers prefer the well linked (Barabási-Albert)."""

    smallest = 3
    why = "two servers are a pair"
    kind: Literal["scale-free"]
    m: Count = Field(1, description="Links that each newcomer brings.")

    @model_validator(mode="after")
    def _newcomers(self) -> ScaleFree:
        if self.m >= self.servers:
            raise Misfit("m", f"m is {self.m}, but must be smaller than the number of servers, which is {self.servers}")
        return self

    def edges(self) -> Edges:
        """A Barabási-Albert graph, connected by construction."""
        import networkx as nx

        return list(nx.barabasi_albert_graph(self.servers, self.m, seed=self.seed).edges())
