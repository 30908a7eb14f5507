"""The result of a search for the highest rate, as text and as JSON."""

from __future__ import annotations

import re
from typing import Any

from lab.load.capacity.search import Limit, Trial
from lab.system.tables import format_table, wrap_text

FILE = "limit.json"


def to_json(limit: Limit) -> dict[str, Any]:
    """The limit as a JSON object, as in limit.json: rates per second, delays in ms, `failed` a share."""
    return {
        "rate": limit.rate,
        "confirmed": limit.confirmed,
        "part": limit.bottleneck,
        "why": limit.why,
        "trials": [
            {
                "rate": trial.rate,
                "holds": trial.holds,
                "misses": list(trial.misses),
                "p99_ms": round(1000 * trial.result.total.intended.percentile(99), 3),
                "failed": trial.result.total.failed,
                "received_per_second": round(trial.result.rate, 1),
                "cores": {**trial.result.cores(), **trial.other_cores},
                "backlog": trial.backlog,
            }
            for trial in limit.trials
        ],
    }


def render(limit: Limit) -> str:
    """The limit as text: a row for each trial, then a sentence."""
    rows = [
        [f"{trial.rate:.0f}/s", "yes" if trial.holds else "no", f"{trial.result.rate:.0f}/s",
         f"{1000 * trial.result.total.intended.percentile(99):.1f}", _misses(trial)]
        for trial in limit.trials
    ]  # fmt: skip
    highest = (
        f"The highest rate within the bounds is {limit.rate:.0f}/s" if limit.rate else "No rate is within the bounds"
    )
    again = ""
    if limit.rate:
        again = "; it was confirmed" if limit.confirmed else "; it was not confirmed"
    if limit.rate and limit.bottleneck in ("backlog", "interrupted"):
        again = ", until the search ended early"
    said = f"{highest}{again}. Bottleneck: {limit.bottleneck}: {limit.why}."
    found = format_table(["rate", "holds", "received", "p99 ms", "misses"], rows, figures=True)
    return "\n".join([found, "", *wrap_text(said, then="  ")])


def _misses(trial: Trial) -> str:
    """The bounds that were exceeded, without reasons; limit.json has whole sentences."""
    said = [re.split("[,:]", miss)[0] for miss in trial.misses]
    return "; ".join([*said, *(["it started with a backlog"] if trial.backlog else [])])
