"""The result of a load as a JSON object: what `xmpplab load --format json` prints."""

from __future__ import annotations

from typing import Any

from lab.load.analysis.thresholds import judge_load
from lab.load.metrics.rows import list_routes
from lab.load.metrics.run_folder import LoadRecord
from lab.runner.folders import PAGE


def to_json(record: LoadRecord) -> dict[str, Any]:
    """The object. `cores` are means over the steady state, `memory` is in bytes, `lag` in seconds."""
    verdict, result = judge_load(record), record.result
    readings = {**result.usage, **record.generators}
    return {
        "folder": str(record.folder),
        "page": str((record.folder / PAGE).absolute()),
        "interrupted": record.interrupted,
        "verdict": verdict.value,
        "sentence": verdict.sentence,
        "measured": record.measured,
        "settled": record.settled,
        "routes": list_routes(result) if record.measured else [],
        "cores": result.cores(),
        "cpu_per_1000": result.cost(),
        "memory": {name: max(one.rss for one in found) for name, found in readings.items() if found},
        "links": result.links,
        "bounced": dict(result.total.bounced),
        "reconnects": result.reconnects,
        "plan": result.plan,
        "lag": {f"p{percent}": result.lag.percentile(percent) for percent in (50, 99)},
        "limits": list(record.limits),
        "remarks": list(record.remarks),
        "misses": list(verdict.misses),
        "faults": [one.to_json() for one in record.faults],
    }
