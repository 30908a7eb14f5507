"""Checks: functions of a history. None of them touches a running system, so that a run can be judged again."""

from lab.checks.judge import CHECKS, SKIPPED, Judgement, judge
from lab.checks.verdict import Finding, Value, Verdict

__all__ = ["CHECKS", "SKIPPED", "Finding", "Judgement", "Value", "Verdict", "judge"]
