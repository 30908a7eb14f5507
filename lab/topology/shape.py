"""What every named shape is: a model whose fields are what people may write, and which knows its links.

The same fields and the same seed give the same links. networkx makes them and is imported only then (0.2 s).
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from lab.topology.limits import MAX_SERVERS

DEFAULT_SEED = 0

Count = Annotated[int, Field(strict=True, ge=1, le=MAX_SERVERS)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Edges = list[tuple[int, int]]


class Misfit(ValueError):
    """Two fields of a shape do not fit each other; `field` is the one to point at."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Shape(BaseModel):
    """What all shapes have: how many servers, and the seed of what is drawn by lot."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    smallest: ClassVar[int] = 2
    why: ClassVar[str] = "a federation needs two"

    kind: str
    servers: Count = Field(description="How many servers.")
    seed: Annotated[int, Field(strict=True, ge=0)] = Field(
        DEFAULT_SEED, description="Seed of what is drawn by lot; the same seed gives the same links."
    )

    @field_validator("servers")
    @classmethod
    def _enough(cls, servers: int) -> int:
        if servers < cls.smallest:
            raise ValueError(f"at least {cls.smallest} servers are needed, not {servers}: {cls.why}")
        return servers

    def names(self) -> tuple[str, ...]:
        """The servers' names, by vertex."""
        return tuple(f"s{number}" for number in range(1, self.servers + 1))

    def edges(self) -> Edges:
        """Links over 0..servers-1. Raises Misfit if the parameters give none."""
        raise NotImplementedError

    def links(self) -> tuple[tuple[str, str], ...]:
        """Linked servers by name, sorted in the order of the names."""
        names = self.names()
        return tuple((names[a], names[b]) for a, b in sorted((min(edge), max(edge)) for edge in self.edges()))
