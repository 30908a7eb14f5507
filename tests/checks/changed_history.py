"""Stories told wrong: how they are changed, judged, and what is expected of the verdict."""

from dataclasses import replace

from lab.checks import Value
from lab.checks.delivery import check
from lab.metrics.record import RunRecord
from tests.checks.sample_history import SampleHistory


def judged(told):
    return check(RunRecord(tuple(told.events), told.plan))


def two(**values):
    told = SampleHistory()
    alice, bob = told.device("alice", "island", **values), told.device("bob", "home", **values)
    return told, alice, bob


def only(verdict, value=Value.FAILED):
    assert verdict.value is value, verdict
    assert len(verdict.findings) == 1, verdict.findings
    return verdict.findings[0]


def change(told, place, **values):
    told.events[place] = replace(told.events[place], **values)


def copy_of(told, place, after=0, **values):
    told.events.insert(place + 1 + after, replace(told.events[place], **values))
