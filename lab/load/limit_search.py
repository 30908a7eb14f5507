"""A search for the highest rate of a lab: `xmpplab load --find-limit`. Each trial is a load in the search's folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from lab.lifecycle.lab import Lab
from lab.load.analysis.thresholds import parse_bounds
from lab.load.capacity.search import Limit, Trial, build_partial_limit, parse_trial_arrivals, search_bounds
from lab.load.capacity.trials import find_limit_on
from lab.load.load_execution import Progress, lab_for
from lab.load.load_request import LoadRequest
from lab.load.report.limit import FILE, to_json
from lab.plan import files
from lab.runner import folders

OnLimit = Callable[[Limit, Path], None]


async def find_limit(request: LoadRequest, progress: Progress, on_limit: OnLimit) -> Limit:
    """Search on a lab of its own or on the one that the request names; limit.json is written into a new folder.

    `on_limit` is called with the limit and the folder, also with what an interrupted search found. Raises UserError,
    MissingError, NotReady, PeerError, TimedOut.
    """
    async with lab_for(request, progress) as lab:
        folder = folders.make(request.runs, f"limit-{request.test.name}", lab.plan.topology.name)
        return await search_on(request, lab, folder, progress, on_limit)


async def search_on(request: LoadRequest, lab: Lab, folder: Path, progress: Progress, on_limit: OnLimit) -> Limit:
    """Search on a lab that is up; `folder`, which must exist, then has plan and limit.json. See `find_limit`."""
    folders.write(folder / folders.PLAN, files.dump(lab.plan))
    written = request.load.get("arrivals") or (f"constant:{request.rate}" if request.rate else None)
    (model, start), bounds = parse_trial_arrivals(written), request.find_limit or ""
    trials: list[Trial] = []

    def add(trial: Trial) -> None:
        trials.append(trial)
        progress(f"{trial.rate:.0f}/s {'is within the bounds' if trial.holds else f'is not: {trial.misses[0]}'}")

    def end(limit: Limit) -> None:
        folders.write(folder / FILE, json.dumps(to_json(limit), indent=2) + "\n")
        on_limit(limit, folder)

    try:
        limit = await find_limit_on(
            lab, {name: value for name, value in request.load.items() if name != "arrivals"},
            search_bounds(bounds, start), folder=folder, model=model, workers=request.workers, pin=request.pin,
            test=request.test, trial_bounds=parse_bounds(bounds), progress=progress, on_trial=add,
        )  # fmt: skip
    except BaseException:
        if trials:  # the search was interrupted, or the lab went down
            end(build_partial_limit(trials, "interrupted", "the search was interrupted"))
        raise
    end(limit)
    return limit
