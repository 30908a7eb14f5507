"""Limits of change between two loads ("p99>10%,received<-5%"), and whether a comparison exceeds one.

A limit names a figure of the comparison, with or without its unit, and a change in percent of the first load's value:
`>` is exceeded by a change above it, `<` by one below it. From 0 to something is a change above every limit.

The verdict is failed if a limit was exceeded and the change is beyond noise, or its noise is not known (of counts,
shares and the largest delay); unknown if it was exceeded within noise, if a load lacks the figure, or if the two loads
cannot be compared; otherwise valid.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab import exit_codes
from lab.errors import UserError
from lab.load.analysis.comparison import Comparison

_LIMIT = re.compile(r"(?P<figure>[^<>]+?)\s*(?P<sign>[<>])\s*(?P<percent>[+-]?[0-9]+(?:\.[0-9]+)?)\s*%")
_CODES = {"valid": exit_codes.VALID, "failed": exit_codes.FAILED, "unknown": exit_codes.UNKNOWN}


@dataclass(frozen=True)
class ChangeLimit:
    """One limit."""

    figure: str  # as it was written
    above: bool  # `>`: a greater change exceeds it; else a smaller one
    percent: float

    def __str__(self) -> str:
        return f"{self.figure}{'>' if self.above else '<'}{self.percent:g}%"

    def exceeded_by(self, change: float) -> bool:
        """Whether a change in percent exceeds it."""
        return change > self.percent if self.above else change < self.percent


@dataclass(frozen=True)
class ComparisonVerdict:
    """Whether two loads keep the limits of change."""

    value: str  # "valid", "failed", "unknown"
    sentence: str

    @property
    def exit_code(self) -> int:
        """As in docs/exit-codes.md."""
        return _CODES[self.value]

    def __str__(self) -> str:
        return f"{self.value.upper()}: {self.sentence}"


def parse_limits(text: str) -> list[ChangeLimit]:
    """The limits in a text, separated by commas. Raises UserError for what is none."""
    found = []
    for part in text.split(","):
        match = _LIMIT.fullmatch(part.strip())
        if match is None:
            raise UserError(f"{part.strip()!r} is no limit of a change: write one like p99>10% or received<-5%")
        found.append(ChangeLimit(match["figure"], match["sign"] == ">", float(match["percent"])))
    return found


def judge_changes(comparison: Comparison, limits: Sequence[ChangeLimit]) -> ComparisonVerdict:
    """The verdict of a comparison. Raises UserError for a limit of a figure that neither load has."""
    rows = [_row(comparison, limit) for limit in limits]
    if not comparison.comparable:
        return ComparisonVerdict("unknown", f"They cannot be compared: {'; '.join(comparison.against)}.")
    failed, unknown = [], []
    for limit, row in zip(limits, rows, strict=True):
        change = _change(row)
        if change is None:
            unknown.append(f"{row['figure']} was measured in one of them only ({limit})")
        elif limit.exceeded_by(change):
            by = f"{row['figure']} changed by {change:+g} %" if math.isfinite(change) else f"{row['figure']} was 0"
            said = f"{by}, from {row['first']:g} to {row['second']:g} ({limit})"
            if row["beyond_noise"] is False:
                unknown.append(f"{said}, but that may be noise")
            else:
                failed.append(said)
    if failed:
        return ComparisonVerdict("failed", f"{'; '.join(failed)}.")
    if unknown:
        return ComparisonVerdict("unknown", f"{'; '.join(unknown)}.")
    return ComparisonVerdict("valid", f"No change is outside of {', '.join(map(str, limits))}.")


def _row(comparison: Comparison, limit: ChangeLimit) -> dict[str, Any]:
    """The row of a limit's figure."""
    rows = {str(row["figure"]): row for row in comparison.figures}
    named = [name for name in rows if name == limit.figure or name.rpartition(" ")[0] == limit.figure]
    named = named or [name for name in rows if name.startswith(f"{limit.figure} ")]
    if len(named) != 1:
        raise UserError(f"{limit}: no figure {limit.figure!r} is compared; there are: {', '.join(rows)}")
    return rows[named[0]]


def _change(row: dict[str, Any]) -> float | None:
    """The change in percent, infinite from 0 to something; None if one of the loads lacks the figure."""
    first, second = row["first"], row["second"]
    if first is None or second is None:
        return None
    if first == 0:
        return math.inf if second else 0.0
    return float(row["change_percent"])
