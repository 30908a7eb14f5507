"""The types of study.json, as `lab.load.analysis.study_folder` writes it: what is read is decoded against them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from lab.input_files import Steps
from lab.load.analysis.study import FIGURES, LIMIT, METRICS

Count = Annotated[int, Field(ge=0, le=1 << 62)]
Figure = Annotated[float, Field(ge=-1e15, le=1e15)]
#: Columns of a row that are no numbers.
_TEXTS = ("topology", "software")


class TrialFile(TypedDict):
    """One load of a search for the highest rate."""

    rate: Figure
    holds: bool


class SearchFile(TypedDict):
    """A search for the highest rate, in short; limit.json in the folder of its run has the whole."""

    rate: Figure
    part: str
    why: str
    trials: list[TrialFile]


class RunFile(TypedDict):
    """One run. A search has its figures here, which are of one of its loads; those of a load are in its folder."""

    folder: str
    topology: str
    seed: int
    measured: bool
    limited: bool
    figures: NotRequired[dict[str, Figure]]
    search: NotRequired[SearchFile]


@with_config(extra="forbid")
class ArgumentsFile(TypedDict):
    """What was asked for; a study is resumed with it. The options of `xmpplab study`."""

    topologies: Annotated[list[str], Field(min_length=1)]
    software: list[str]
    seeds: Annotated[int, Field(ge=1, le=100_000)]
    test: str
    users: Annotated[int, Field(ge=1, le=1 << 31)]
    rate: str
    length: str
    warmup: str
    workers: Annotated[int, Field(ge=1, le=100_000)]
    arrivals: str | None
    pin: bool
    runtime: Literal["auto", "containers", "processes"]
    faults: NotRequired[str]
    encryptions: NotRequired[list[str]]
    find_limit: NotRequired[str]


class StudyFile(TypedDict):
    """The whole file. Without arguments it cannot be resumed."""

    version: int
    asked: dict[str, str | int | float | bool | list[Any] | dict[str, Any] | None]
    arguments: ArgumentsFile | Annotated[dict[str, Any], Field(max_length=0)]
    planned: Count
    runs: list[RunFile]
    table: list[dict[str, str | int | Figure | None]]
    correlations: dict[str, dict[str, Figure | None]]


def contradiction(data: StudyFile) -> tuple[Steps, str] | None:
    """Where parts of a study do not fit together, and what is wrong there."""
    for index, run in enumerate(data["runs"]):
        if run["folder"] in ("", ".", "..") or not set(run["folder"]).isdisjoint("/\0"):
            return ("runs", index, "folder"), "it should be the name of a folder in that of the study"
        searched = "find_limit" in data["arguments"]
        if data["arguments"] and {"search" in run, "figures" in run} != {searched}:
            return ("runs", index), "it should have search and figures if the arguments have find_limit, else neither"
    for index, row in enumerate(data["table"]):
        if found := _wrong_in_row(row):
            return ("table", index, *found[0]), found[1]
    for metric, of in data["correlations"].items():
        if metric not in METRICS or {*of} - {LIMIT} != {*FIGURES}:
            return ("correlations", metric), f"it should have {', '.join(FIGURES)}, of one of {', '.join(METRICS)}"
    if data["correlations"] and (missing := {*METRICS} - {*data["correlations"]}):
        return ("correlations",), f"those with {', '.join(sorted(missing))} are missing"
    return None


def _wrong_in_row(row: dict[str, Any]) -> tuple[Steps, str] | None:
    """What is wrong in a row of the table: it has texts, the number of runs, metrics, and figures with intervals."""
    for name in (*_TEXTS, "runs", "servers", "links", *METRICS):
        if name not in row:
            return (name,), "it is missing"
    for name, value in row.items():
        text, end = name in _TEXTS, name.endswith(("_low", "_high"))
        if isinstance(value, str) != text or (value is None and not end):
            return (name,), f"it cannot be {value!r}"
    ends = {name for name in row if name.endswith(("_low", "_high"))}
    for name in sorted({one.removesuffix("_low").removesuffix("_high") for one in ends} | {*FIGURES} & {*row}):
        if missing := next((one for one in (name, f"{name}_low", f"{name}_high") if one not in row), None):
            return (missing,), "it is missing"
        if (row[f"{name}_low"] is None) != (row[f"{name}_high"] is None):
            return (f"{name}_low",), "an interval has two ends or, of a single value, none"
    return None
