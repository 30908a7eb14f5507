"""The types of study.json, as `lab.load.analysis.study_folder` writes it: what is read is decoded against them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from lab.load.analysis.study import FIGURES, METRICS

Count = Annotated[int, Field(ge=0, le=1 << 62)]
Figure = Annotated[float, Field(ge=-1e15, le=1e15)]
#: Columns of a row that are no numbers.
_TEXTS = ("topology", "software")


class RunFile(TypedDict):
    """One run."""

    folder: str
    topology: str
    seed: int
    measured: bool
    limited: bool


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the table: texts, the number of runs, metrics, and figures each with both ends of its interval."""
    for name in (*_TEXTS, "runs", "servers", "links", *METRICS):
        if name not in row:
            raise ValueError(f"a row has no {name}")
    for name, value in row.items():
        text, end = name in _TEXTS, name.endswith(("_low", "_high"))
        if isinstance(value, str) != text or (value is None and not end):
            raise ValueError(f"{name} of a row cannot be {value!r}")
    ends = {name for name in row if name.endswith(("_low", "_high"))}
    for name in {one.removesuffix("_low").removesuffix("_high") for one in ends} | {*FIGURES} & {*row}:
        if not {name, f"{name}_low", f"{name}_high"} <= {*row}:
            raise ValueError(f"{name} of a row lacks one of its values")
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        if (low is None) != (high is None) or (low is None and row["runs"] > 1):
            raise ValueError(f"{name} of a row has an interval with one end, or none though there are several runs")
    return row


def _correlations(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of each figure with each metric, or none at all."""
    if found and (set(found) != {*METRICS} or any(set(of) != {*FIGURES} for of in found.values())):
        raise ValueError("they must be of each figure with each metric")
    return found


class StudyFile(TypedDict):
    """The whole file."""

    version: int
    asked: dict[str, str | int | float | bool | list[Any] | dict[str, Any] | None]
    arguments: dict[str, Any]
    planned: Count
    runs: list[RunFile]
    table: list[Annotated[dict[str, str | int | Figure | None], AfterValidator(_row)]]
    correlations: Annotated[dict[str, dict[str, Figure | None]], AfterValidator(_correlations)]
