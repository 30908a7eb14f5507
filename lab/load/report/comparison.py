"""The comparison of two loads, as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from lab.load.analysis.change_limits import ComparisonVerdict
from lab.load.analysis.comparison import Comparison
from lab.system.tables import format_table, wrap_text


def to_json(comparison: Comparison, verdict: ComparisonVerdict | None = None) -> dict[str, Any]:
    """The comparison as a JSON object, with its verdict if limits were given."""
    judged = {} if verdict is None else {"verdict": asdict(verdict)}
    return {"comparable": comparison.comparable, **asdict(comparison), **judged}


def render(comparison: Comparison, first: Path, second: Path, verdict: ComparisonVerdict | None = None) -> str:
    """The comparison of the loads in two folders as text: a table of figures, then a sentence for each difference.

    If limits were given, the verdict is last.
    """
    head = ("figure", "first", "second", "change", "95 %", "beyond noise")
    figures = format_table(head, [_cells(row) for row in comparison.figures])
    judged = [] if verdict is None else [str(verdict)]
    said = [line for sentence in (*_sentences(comparison), *judged) for line in wrap_text(sentence, then="  ")]
    return "\n".join([f"first   {first}", f"second  {second}", "", figures, "", *said])


def _sentences(comparison: Comparison) -> list[str]:
    said = [f"Not the same load: {text}." for text in comparison.load]
    said += [f"Not the same: {text}." for text in comparison.setting]
    said += [f"Note: {text}." for text in comparison.remarks]
    if comparison.against:
        return [*said, f"They cannot be compared: {'; '.join(comparison.against)}."]
    if comparison.setting:
        return [*said, f"They can be compared: the difference is the {comparison.setting[0]}."]
    return [*said, "They can be compared: the same load in the same setting, twice."]


def _cells(row: dict[str, Any]) -> list[object]:
    change, low, high, beyond = (
        row[name] for name in ("change_percent", "low_percent", "high_percent", "beyond_noise")
    )
    cells = [row["figure"], *("-" if row[name] is None else f"{row[name]:g}" for name in ("first", "second"))]
    cells += ["-" if change is None else f"{change:+g} %", "-" if low is None else f"{low:+g} to {high:+g} %"]
    return [*cells, "-" if beyond is None else "yes" if beyond else "no"]
