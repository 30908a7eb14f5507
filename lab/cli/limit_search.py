"""`xmpplab load --find-limit`: the highest rate within bounds, each trial a load of its own in the run's folder."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from lab.errors import UserError
from lab.runner import exits, folders

if TYPE_CHECKING:
    from pathlib import Path

    from lab.cli.loading import Progress, Request
    from lab.load.limits import Bounds, Limit, Surroundings
    from lab.load.results import Result
    from lab.plan.model import Plan
    from lab.runtime.handle import Lab

FILE = "limit.json"


def bounds_of(text: str, start: float | None) -> Bounds:
    """The search's bounds from "p99=200ms,loss=0". Raises UserError."""
    from lab.load.bounds import parse
    from lab.load.limits import Bounds

    given = parse(text)
    if left := sorted(set(given) - {"p99", "loss", "failed"}):
        raise UserError(f"--find-limit searches within p99 and loss (lost or bounced), not {', '.join(left)}")
    failed = given.get("failed", given.get("loss", 0.0))
    return Bounds(p99=given.get("p99", Bounds.p99), failed=failed, **({} if start is None else {"start": start}))


async def search(request: Request, lab: Lab, progress: Progress) -> int:
    """Search, tell, keep; 0 if a rate was found that held again."""
    from lab.cli.loading import measured
    from lab.load.bounds import parse
    from lab.load.limits import find_limit

    model, start = model_of(request.load.get("arrivals") or (f"constant:{request.rate}" if request.rate else None))
    bounds = bounds_of(request.find_limit or "", start)
    folder = folders.make(request.runs, f"limit-{request.test.name}", lab.plan.topology.name)
    asked = parse(request.find_limit or "")
    count = 0

    async def measure(rate: float) -> Result:
        nonlocal count
        count += 1
        trial = folder / f"{count:02}-{rate:.0f}"
        trial.mkdir(mode=0o700)
        progress(f"trial {count}: {rate:.0f}/s")
        load = {**request.load, "arrivals": f"{model}:{rate:.3f}/s"}
        kept = await measured(request, lab, trial, load, lambda text: progress(f"{rate:.0f}/s: {text}"), asked)
        return kept.result

    limit = await find_limit(measure, bounds, surroundings(lab.plan))
    data = _data(limit)
    folders.write(folder / FILE, json.dumps(data, indent=2) + "\n")
    print(json.dumps({"folder": str(folder), **data}, indent=2) if request.json else _text(limit, folder), flush=True)
    return exits.VALID if limit.confirmed else exits.UNKNOWN


def model_of(text: str | None) -> tuple[str, float | None]:
    """How a trial's messages arrive, and the rate to begin with. Raises UserError for more than a rate."""
    from lab.load.arrivals import parse

    if text is None:
        return "constant", None
    model, _, rest = text.partition(":")
    if model not in ("constant", "poisson") or ":" in rest:
        raise UserError(f"--find-limit chooses the rate: leave --arrivals {text} out, or say constant or poisson")
    return model, parse(text).peak(0.0)


def surroundings(plan: Plan) -> Surroundings:
    """What the parts can do at most: the machine's cores, links that have a rate."""
    from lab.load.limits import Surroundings

    links = {f"{one.source}->{one.target}": one.conditions.rate for one in plan.relays}
    rates = {route: rate for route, rate in links.items() if rate is not None}
    return Surroundings(cores=len(os.sched_getaffinity(0)), links=rates)


def _data(limit: Limit) -> dict[str, Any]:
    return {
        "rate": limit.rate,
        "confirmed": limit.confirmed,
        "part": limit.part,
        "why": limit.why,
        "trials": [
            {
                "rate": trial.rate,
                "holds": trial.holds,
                "misses": list(trial.misses),
                "p99_ms": round(1000 * trial.result.total.intended.percentile(99), 3),
                "failed": trial.result.total.failed,
                "received_per_second": round(trial.result.rate, 1),
                "cores": trial.result.cores(),
            }
            for trial in limit.trials
        ],
    }


def _text(limit: Limit, folder: Path) -> str:
    from lab.load.telling import table

    rows = [
        [f"{trial.rate:.0f}/s", "yes" if trial.holds else "no", f"{trial.result.rate:.0f}/s",
         f"{1000 * trial.result.total.intended.percentile(99):.1f}", "; ".join(trial.misses)]
        for trial in limit.trials
    ]  # fmt: skip
    found = f"The highest rate that holds is {limit.rate:.0f}/s" if limit.rate else "No rate holds"
    again = ", and it held once more" if limit.confirmed else ", but it did not hold once more" if limit.rate else ""
    said = f"{found}{again}. What was the limit: {limit.part}: {limit.why}."
    return f"{table(['rate', 'holds', 'received', 'p99 ms', 'misses'], rows)}\n\n{said}\n{folder}"
