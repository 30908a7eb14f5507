"""All named shapes by their kind. A new shape is a class with a kind; it is listed here twice."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lab.topology.shape import Shape
from lab.topology.shapes_drawn import Random, ScaleFree, SmallWorld
from lab.topology.shapes_regular import FullMesh, Grid, Islands, Line, Pair, Ring, Star, Tree

AnyShape = Annotated[
    Pair | Line | Ring | Star | Tree | Grid | FullMesh | Random | SmallWorld | ScaleFree | Islands,
    Field(discriminator="kind"),
]

KINDS: dict[str, type[Shape]] = {
    "pair": Pair,
    "line": Line,
    "ring": Ring,
    "star": Star,
    "tree": Tree,
    "grid": Grid,
    "full-mesh": FullMesh,
    "random": Random,
    "small-world": SmallWorld,
    "scale-free": ScaleFree,
    "islands": Islands,
}
