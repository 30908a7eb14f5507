"""The types of load.json: what is read is decoded against them. lab.load.model.job has the meaning of each field."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict


@with_config(extra="forbid")
class PartFile(TypedDict):
    """A coordinator's part."""

    index: NotRequired[int]
    of: NotRequired[int]


@with_config(extra="forbid")
class JobFile(TypedDict):
    """What load.json may contain; the fields of "load" are checked by `Job`."""

    version: NotRequired[int]
    lab: str
    load: NotRequired[dict[str, str | int | float | bool]]
    workers: NotRequired[Annotated[int, Field(ge=1, le=100_000)]]
    folder: NotRequired[str | None]
    pin: NotRequired[bool]
    part: NotRequired[PartFile]
    hold: NotRequired[bool]
    name: NotRequired[str]
    bounds: NotRequired[dict[str, Annotated[float, Field(ge=0, le=1e12)]]]
    page: NotRequired[bool]
