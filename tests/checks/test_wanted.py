"""`expects` by software: a known fault of one version counts as known, and of nobody else."""

import pytest

from lab.checks import Value, judge
from lab.checks.verdict import Finding, build_verdict
from lab.history.events import Expectation
from lab.metrics.record import RunRecord
from tests.checks.sample_history import SampleHistory

# In the sample topology public is an ejabberd, the others are Prosody.
KNOWN = (("broken", (("ejabberd", "failed"),)),)


def judged(*findings, servers=("public", "home"), expects=KNOWN, told=None, how="finished"):
    told = told or SampleHistory(expects=expects)
    told.finish(how=how)

    def check(record):
        return build_verdict("broken", 1, findings, "all is well", "nothing", servers)

    return judge(RunRecord(tuple(told.events), told.plan), {"broken": check})


def fault(at, value=Value.FAILED, **values):
    return Finding(value, f"wrong at {at}.", None, ("island", at), **values)


def test_what_is_known_of_a_software_is_valid():
    judgement = judged(fault("public"))
    assert judgement.value == "valid"
    assert judgement.sentence == "on ejabberd: broken is failed, as it should be: wrong at public."


def test_the_same_on_another_software_is_failed():
    judgement = judged(fault("public"), fault("home"))
    assert judgement.value == "failed"
    assert judgement.sentence == "wrong at home."


def test_a_known_fault_that_does_not_show_is_failed():
    judgement = judged()
    assert judgement.value == "failed"
    assert judgement.sentence == "on ejabberd: broken should be failed and is valid: nothing is wrong"


def test_where_the_software_was_not_looked_at_nothing_is_promised():
    assert judged(servers=("home",)).value == "valid"
    assert judged(fault("home"), servers=("home",)).value == "failed"


def test_a_finding_counts_for_the_server_whose_doing_it_is():
    assert judged(fault("home", server="public")).value == "valid"
    assert judged(fault("public", server="home")).value == "failed"


def test_unknown_stays_unknown():
    assert judged(fault("public", Value.UNKNOWN)).value == "unknown"
    assert judged(fault("public"), fault("home", Value.UNKNOWN)).value == "unknown"


def test_a_version_that_is_named_must_be_that_one():
    other = (("broken", (("ejabberd@1.0", "failed"),)),)
    assert judged(fault("public"), expects=other).value == "failed"


def late(told, check):
    told.add(Expectation, expected="a request", actual="none", held=False, timed_out=True, check=check)
    return told


def test_an_expectation_about_the_same_does_not_count_where_the_check_fails_as_it_should():
    told = late(SampleHistory(expects=KNOWN), "broken")
    assert judged(fault("public"), told=told, how="expectation").value == "valid"


@pytest.mark.parametrize(("check", "server"), [("", "public"), ("other", "public"), ("broken", "home")])
def test_an_expectation_about_anything_else_counts(check, server):
    told = late(SampleHistory(expects=KNOWN), check)
    judgement = judged(fault(server), told=told, how="expectation")
    assert judgement.value == "failed"


def test_a_finding_that_another_check_has_as_well_does_not_count_twice():
    told = SampleHistory(expects=KNOWN)
    told.finish()

    def check(record):
        return build_verdict("broken", 1, (fault("public"),), "", "", ("public",))

    def same(record):
        return build_verdict("same", 1, (fault("public", check="broken"),), "", "")

    def other(record):
        return build_verdict("same", 1, (fault("public"),), "", "")

    record = RunRecord(tuple(told.events), told.plan)
    assert judge(record, {"broken": check, "same": same}).value == "valid"
    assert judge(record, {"broken": check, "same": other}).value == "failed"


def test_with_the_software_and_nothing_judged_the_run_is_unknown():
    told = SampleHistory(expects=KNOWN)
    told.finish()

    def check(record):
        return build_verdict("broken", 0, (), "", "Nothing was there.")

    assert judge(RunRecord(tuple(told.events), told.plan), {"broken": check}).value == "unknown"
