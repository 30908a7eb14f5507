"""Metrics: figures of a run's history that judge nothing. A verdict is a check's (lab.checks).

A new metric is one file here and one line in METRICS; the JSON report of a run then has it under its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lab.metrics.record import RunRecord
from lab.metrics.routes import routes
from lab.metrics.stanzas import stanzas

#: A figure of a run, or a list of dataclasses that hold several.
Metric = Callable[[RunRecord], object]

#: By name, as in the JSON report, in its order.
METRICS: Mapping[str, Metric] = {
    "routes": routes,
    "stanzas": stanzas,
}
