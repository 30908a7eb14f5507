"""Runs of scenarios: steps, expectations, deadlines, the folder of a run."""

from lab.runner.expectations import ExpectationFailed, expect
from lab.runner.scenarios import ScenarioInfo, load, scenario
from lab.runner.steps import step
from lab.runner.tables import record_table

__all__ = ["ExpectationFailed", "ScenarioInfo", "expect", "load", "record_table", "scenario", "step"]
