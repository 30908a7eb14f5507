"""Metrics: figures of a run's history that judge nothing. A verdict is a check's (lab.checks).

A new metric is one file here, with a function of its name, and one line in NAMES; the JSON report of a run then has it
under its name.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from lab.metrics.record import RunRecord

#: A figure of a run, or a list of dataclasses that hold several.
Metric = Callable[[RunRecord], object]

#: In the order of the JSON report.
NAMES = (
    "ledger",
    "left_out",
    "tables",
    "stanzas",
    "exposure",
    "conversation_share",
    "concentration",
    "gini",
    "entropy",
    "nakamoto",
    "half_seen",
    "half_disconnected",
)

METRICS: dict[str, Metric] = {name: getattr(import_module(f"lab.metrics.{name}"), name) for name in NAMES}
