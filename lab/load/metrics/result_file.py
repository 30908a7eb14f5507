"""The types of result.json, as `RunWriter.finish` writes it: what is read is decoded against them.

Counts and durations are not below 0; `read_json` refuses what is not finite. Keys that are not here are left alone.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, Field, PlainValidator
from typing_extensions import TypedDict

from lab.errors import UserError
from lab.input_files import Steps
from lab.load.metrics.histogram import Histogram
from lab.load.metrics.result import VERSION


def _histogram(text: object) -> Histogram:
    try:
        return Histogram.decode(str(text))  # which nothing but text of that kind passes
    except UserError as error:
        raise ValueError(str(error)) from None


def _version(number: int) -> int:
    if number != VERSION:
        raise ValueError(f"a result of version {number}; this lab reads version {VERSION}")
    return number


Count = Annotated[int, Field(ge=0, le=1 << 62)]
Whole = Annotated[int, Field(ge=-(1 << 62), le=1 << 62)]
Length = Annotated[float, Field(ge=0, le=1e12)]  # seconds
Positive = Annotated[float, Field(gt=0, le=1e12)]
UsageRow = tuple[Length, Length, Count, Any]  # see lab.load.metrics.result.Usage
UsageByName = dict[str, list[UsageRow]]
Delays = Annotated[Histogram, PlainValidator(_histogram)]


class RouteFile(TypedDict):
    """Counters of a route."""

    sent: Count
    expected: Count
    received: Count
    lost: Count
    both: Count
    duplicates: Count
    out_of_order: Count
    bounced: dict[str, Count]
    intended: Delays
    actual: Delays


class SecondFile(TypedDict):
    """One second of the load."""

    covered: Length
    judged: Length
    tally: RouteFile
    lag: Delays
    reconnects: Count
    cpu: dict[str, Length]


def _second(second: SecondFile) -> SecondFile:
    if second["judged"] > second["covered"]:
        raise ValueError(f"{second['judged']:g} s are of the steady state, and {second['covered']:g} s covered")
    return second


class PlanFile(TypedDict):
    """What every worker was given."""

    traffic: NotRequired[str]
    arrivals: NotRequired[str]
    workers: Annotated[int, Field(ge=1, le=100_000)]
    warmup: Length
    seconds: Positive
    tick: Positive
    expected: Length


class MeasuredFile(TypedDict):
    """The result of all workers."""

    version: Annotated[int, AfterValidator(_version)]
    plan: PlanFile | Annotated[dict[str, Any], Field(max_length=0)]  # empty before the first sample
    routes: dict[str, RouteFile]
    warmup: dict[str, RouteFile]
    seconds: dict[Annotated[str, Field(pattern="^[0-9]{1,9}$")], Annotated[SecondFile, AfterValidator(_second)]]
    usage: UsageByName
    links: dict[str, Count]
    failures: NotRequired[list[tuple[str, Literal["lost", "bounced"], Count, Count]]]


class GoneFile(TypedDict):
    """A user who could not reconnect."""

    user: str
    reason: str


class FaultFile(TypedDict):
    """One time that a declared fault acted, see lab.load.metrics.fault_record."""

    name: str
    action: str
    occurrence: Count
    servers: list[str]
    links: list[tuple[str, str]]
    applied: float
    healed: float | None
    error: str
    lost_during: Count
    bounced_during: Count
    lost_after: Count
    bounced_after: Count
    recovery: Length | None
    unknown: str


class ResultFile(TypedDict):
    """The whole file."""

    version: int
    interrupted: str
    settled: bool
    unaccounted: dict[str, Whole]
    missing: list[dict[str, Any]]
    gone: list[GoneFile]
    generators: UsageByName
    limits: list[str]
    remarks: list[str]
    machine: NotRequired[dict[str, str | int]]
    result: MeasuredFile
    faults: NotRequired[list[FaultFile]]


def contradiction(data: ResultFile) -> tuple[Steps, str] | None:
    """Where parts of a result do not fit together, and what is wrong there."""
    result = data["result"]
    if not result["plan"] and (result["routes"] or result["warmup"] or result["seconds"]):
        return ("result", "plan"), "it is empty, and something was measured"
    return None


class StartedFile(TypedDict):
    """The event `started` of samples.jsonl, as far as it is read."""

    event: str
    at: Annotated[float, Field(ge=0, le=253402300799)]
    load: dict[str, str | int | float | bool | list[Any] | dict[str, Any] | None]
