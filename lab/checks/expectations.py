"""Expectations: what the scenario itself said must hold, and did not."""

from __future__ import annotations

from lab.checks.record import Record
from lab.checks.trail import trail
from lab.checks.verdict import Finding, Value, Verdict, plural, verdict
from lab.history.events import Expectation

NAME = "expectations"


def check(record: Record) -> Verdict:
    """Judge every `expect` of the scenario."""
    all_of_them = list(record.of(Expectation))
    findings = [_finding(record, one) for one in all_of_them if not one.held]
    good = f"{plural(len(all_of_them), 'expectation')} held."
    return verdict(NAME, len(all_of_them), findings, good, "The scenario expected nothing.")


def _finding(record: Record, one: Expectation) -> Finding:
    sent = record.announced[one.message][1] if one.message in record.announced else None
    step = f" in the step '{one.step}'" if one.step else ""
    late = " before the deadline" if one.timed_out else ""
    if sent is None:
        text = f"Expected{step}: {one.expected}; got{late}: {one.actual}."
        return Finding(Value.FAILED, text, one.message)
    way, path = record.way(sent), trail(record, sent)
    text = f"Message {sent.message} ({' - '.join(way)}){step}: expected {one.expected}; got{late}: {one.actual}."
    # Where it arrived, how far it came explains nothing.
    cause = "" if record.deliveries.get(sent.message) else path.cause
    return Finding(Value.FAILED, text, sent.message, way, cause, path.last_hop, path.stanzas)
