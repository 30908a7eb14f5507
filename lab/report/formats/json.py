"""The report of a run as one JSON object: run, verdict, steps, every metric, notes."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from typing import Any

from lab.checks import Judgement
from lab.checks.wanted import Wanted
from lab.metrics import METRICS
from lab.metrics.record import RunRecord
from lab.report import timeline


def render(record: RunRecord, judgement: Judgement) -> str:
    """The object as text, with a newline at its end."""
    return json.dumps(to_json(record, judgement), indent=2) + "\n"


def to_json(record: RunRecord, judgement: Judgement) -> dict[str, Any]:
    """The object. Times are EPOCH seconds, lengths are seconds."""
    started = record.started
    return {
        "run": {
            "scenario": started.scenario if started else None,
            "title": started.title if started else None,
            "spec": started.spec if started else None,
            "topology": record.topology.name,
            "runtime": record.plan.facts.runtime,
            "started": started.at if started else None,
            "seconds": round(timeline.compute_length(record), 3),
            "expects": {check: _expected(want) for check, want in started.expects} if started else {},
            "ended": record.ended.how if record.ended else None,
        },
        "verdict": judgement.to_json(),
        "steps": [{"text": one.text, "depth": one.depth, "state": one.state} for one in timeline.list_steps(record)],
        **{name: _plain(metric(record)) for name, metric in METRICS.items()},
        "notes": [one.text for one in timeline.list_notes(record)],
    }


def _expected(want: Wanted) -> object:
    return want if isinstance(want, str) else dict(want)


def _plain(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
