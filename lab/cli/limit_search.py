"""`xmpplab load --find-limit`: the highest rate within bounds, each trial a load of its own in the run's folder."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lab import exit_codes
from lab.errors import UserError
from lab.runner import folders

if TYPE_CHECKING:
    from pathlib import Path

    from lab.cli.loading import Progress, Request
    from lab.lifecycle.lab import Lab
    from lab.load.capacity.search import Bounds, Limit, Trial

FILE = "limit.json"


def bounds_of(text: str, start: float | None) -> Bounds:
    """The search's bounds from "p99=200ms,loss=0". Raises UserError."""
    from lab.load.analysis.thresholds import parse_bounds
    from lab.load.capacity.search import Bounds

    given = parse_bounds(text)
    if left := sorted(set(given) - {"p99", "loss", "failed"}):
        raise UserError(f"--find-limit searches within p99 and loss (lost or bounced), not {', '.join(left)}")
    failed = given.get("failed", given.get("loss", 0.0))
    return Bounds(p99=given.get("p99", Bounds.p99), failed=failed, **({} if start is None else {"start": start}))


async def search(request: Request, lab: Lab, progress: Progress) -> int:
    """Search, tell, keep; 0 if a rate was found that held again."""
    from lab.load.analysis.thresholds import parse_bounds
    from lab.load.capacity.search import partial_limit
    from lab.load.capacity.trials import find_limit_on

    model, start = model_of(request.load.get("arrivals") or (f"constant:{request.rate}" if request.rate else None))
    asked = request.find_limit or ""
    folder = folders.make(request.runs, f"limit-{request.test.name}", lab.plan.topology.name)
    trials: list[Trial] = []

    def tell(limit: Limit) -> None:
        data = _data(limit)
        folders.write(folder / FILE, json.dumps(data, indent=2) + "\n")
        text = json.dumps({"folder": str(folder), **data}, indent=2) if request.json else _text(limit, folder)
        print(text, flush=True)

    try:
        limit = await find_limit_on(
            lab, {name: value for name, value in request.load.items() if name != "arrivals"}, bounds_of(asked, start),
            folder=folder, model=model, workers=request.workers, pin=request.pin, test=request.test,
            trial_bounds=parse_bounds(asked), progress=progress, on_trial=trials.append,
        )  # fmt: skip
    except BaseException:
        if trials:  # it was interrupted, or the lab went down, and still says what it has
            tell(partial_limit(trials, "interrupted", "the search did not come to its end"))
        raise
    tell(limit)
    return exit_codes.VALID if limit.confirmed else exit_codes.UNKNOWN


def model_of(text: str | None) -> tuple[str, float | None]:
    """How a trial's messages arrive, and the rate to begin with. Raises UserError for more than a rate."""
    from lab.load.workload.arrivals import parse

    if text is None:
        return "constant", None
    model, _, rest = text.partition(":")
    if model not in ("constant", "poisson") or ":" in rest:
        raise UserError(f"--find-limit chooses the rate: leave --arrivals {text} out, or say constant or poisson")
    return model, parse(text).peak(0.0)


def _data(limit: Limit) -> dict[str, Any]:
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


def _text(limit: Limit, folder: Path) -> str:
    from lab.load.report.text import table

    rows = [
        [f"{trial.rate:.0f}/s", "yes" if trial.holds else "no", f"{trial.result.rate:.0f}/s",
         f"{1000 * trial.result.total.intended.percentile(99):.1f}", _misses(trial)]
        for trial in limit.trials
    ]  # fmt: skip
    found = f"The highest rate that holds is {limit.rate:.0f}/s" if limit.rate else "No rate holds"
    again = ", and it held once more" if limit.confirmed else ", but it did not hold once more" if limit.rate else ""
    if limit.rate and limit.bottleneck in ("backlog", "interrupted"):
        again = ", as far as the search came"
    said = f"{found}{again}. What was the limit: {limit.bottleneck}: {limit.why}."
    return f"{table(['rate', 'holds', 'received', 'p99 ms', 'misses'], rows)}\n\n{said}\n{folder}"


def _misses(trial: Trial) -> str:
    """In short; limit.json has the whole sentences."""
    said = [re.split("[,:]", miss)[0] for miss in trial.misses]
    return "; ".join([*said, *(["it began with a backlog"] if trial.backlog else [])])
