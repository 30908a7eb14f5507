"""Expectations: what the scenario itself said must hold, and did not.

One about a message that, by the history, nobody sent is unknown even where it held: an event is missing.
"""

from __future__ import annotations

from lab.checks.trace import trace
from lab.checks.verdict import LONGEST_VALUE, Finding, Value, Verdict, build_verdict, pluralize, shorten
from lab.history.events import Expectation
from lab.metrics.record import RunRecord

NAME = "expectations"


def check(record: RunRecord) -> Verdict:
    """Judge every `expect` of the scenario."""
    all_of_them = list(record.of(Expectation))
    findings = [_finding(record, one) for one in all_of_them if not one.held]
    findings += [
        _unsent(one) for one in all_of_them if one.held and one.message and record.with_id(one.message) is None
    ]
    good = f"{pluralize(len(all_of_them), 'expectation')} held."
    return build_verdict(NAME, len(all_of_them), findings, good, "The scenario expected nothing.")


def _unsent(one: Expectation) -> Finding:
    expected = shorten(one.expected, LONGEST_VALUE)
    text = f"An expectation ({expected}) is about message {one.message}, which nobody sent by this history."
    return Finding(Value.UNKNOWN, text, one.message, cause="an event is missing from the history")


def _finding(record: RunRecord, one: Expectation) -> Finding:
    sent = record.with_id(one.message)
    step = f" in the step '{one.step}'" if one.step else ""
    expected, actual = shorten(one.expected, LONGEST_VALUE), shorten(one.actual, LONGEST_VALUE)
    late = " before the deadline" if one.timed_out else ""
    if sent is None:
        text = f"Expected{step}: {expected}; got{late}: {actual}."
        return Finding(Value.FAILED, text, one.message, check=one.check)
    servers, far = record.path(sent), trace(record, sent)
    text = f"Message {sent.message} ({' - '.join(servers)}){step}: expected {expected}; got{late}: {actual}."
    # Where it arrived, how far it got explains nothing.
    cause = "" if record.deliveries.get(sent) else far.cause
    return Finding(Value.FAILED, text, sent.message, servers, cause, far.last_hop, far.stanzas, check=one.check)
