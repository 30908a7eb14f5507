"""The verdict as a whole: what outranks what, and what nothing makes of it."""

import json

import pytest

from lab.checks import CHECKS, Value, judge
from lab.checks.verdict import Verdict
from lab.history.events import RunEnded, RunStarted, Sent
from lab.history.reader import HistoryGap, read
from lab.history.recorder import Recorder
from lab.metrics.record import RunRecord
from tests.checks.sample_history import SampleHistory, plan


def story(**values):
    told = SampleHistory(**values)
    alice, bob = told.device("alice", "island"), told.device("bob", "home")
    told.say(alice, bob)
    return told


def judged(told, **values):
    return judge(RunRecord(tuple(told.events), told.plan), **values)


def test_an_honest_run_is_valid():
    judgement = judged(story().finish())
    assert (judgement.value, judgement.exit_code) == ("valid", 0)
    assert "1 message: 1 delivered once" in judgement.sentence


def test_an_empty_history_is_unknown():
    judgement = judge(RunRecord((), plan()))
    assert (judgement.value, judgement.exit_code) == ("unknown", 2)
    assert all(each.value is Value.UNKNOWN for each in judgement.verdicts)


def test_a_run_in_which_nothing_happened_is_unknown():
    judgement = judged(SampleHistory().finish())
    assert judgement.exit_code == 2
    assert judgement.sentence.startswith("Nothing was judged")


def test_a_run_that_only_expected_something_is_judged_by_that():
    told = SampleHistory()
    told.expect()
    assert judged(told.finish()).value == "valid"


def test_a_check_that_crashes_is_unknown_and_says_where():
    def broken(record):
        raise ZeroDivisionError("no such thing")

    judgement = judged(story().finish(), checks={**CHECKS, "broken": broken})
    assert (judgement.value, judgement.exit_code) == ("unknown", 2)
    assert "ZeroDivisionError: no such thing" in judgement.sentence
    assert "test_judge.py" in judgement.sentence


def test_failed_outranks_unknown_whatever_comes_first():
    def with_value(name, value):
        return lambda record: Verdict(name, value, f"{name} is {value}.", (), 1)

    for values in ((Value.UNKNOWN, Value.FAILED, Value.VALID), (Value.FAILED, Value.VALID, Value.UNKNOWN)):
        checks = {f"c{number}": with_value(f"c{number}", value) for number, value in enumerate(values)}
        judgement = judged(story().finish(), checks=checks)
        assert (judgement.value, judgement.exit_code) == ("failed", 1)
        assert judgement.sentence.endswith("is failed.")


def test_an_expectation_that_did_not_hold_fails_and_names_its_message():
    told = story()
    told.expect(held=False, message="m1", step="it arrives")
    told.finish(how="expectation", detail="expected delivered once; got bounced")
    judgement = judged(told)
    assert judgement.value == "failed"
    assert (
        "Message m1 (island - home) in the step 'it arrives': expected delivered once; got: bounced"
        in judgement.sentence
    )


def test_an_early_end_fails_even_without_its_event():
    judgement = judged(story().finish(how="expectation", detail="story.py:7: no"))
    assert (judgement.value, "story.py:7" in judgement.sentence) == ("failed", True)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("lab-error", "The lab failed: why"),
        ("script-error", "The scenario broke off: why"),
        ("peer-error", "The scenario broke off: why"),
        ("interrupted", "interrupted: why"),
    ],
)
def test_a_run_that_the_lab_or_a_signal_ended_is_unknown(how, said):
    judgement = judged(story().finish(how=how, detail="why"))
    assert judgement.value == "unknown"
    assert said in judgement.sentence


@pytest.mark.parametrize("how", ["script-error", "peer-error", "lab-error"])
def test_why_a_scenario_broke_off_is_said_also_if_a_check_failed(how):
    told = SampleHistory()
    told.expect(held=False)
    judgement = judged(told.finish(how=how, detail="story.py:7: KeyError: 'bob'"))
    assert judgement.value == "failed"
    assert judgement.sentence.startswith("Expected")
    assert judgement.sentence.endswith(": story.py:7: KeyError: 'bob'")


def test_a_killed_run_is_unknown():
    told = story().finish()
    told.drop(RunEnded)
    assert "killed" in judged(told).sentence
    assert judged(told).value == "unknown"


def test_a_history_without_its_beginning_is_unknown():
    told = story().finish()
    told.drop(RunStarted)
    assert judged(told).value == "unknown"


def test_a_topology_that_cannot_give_the_role_is_a_skip():
    judgement = judged(story().finish(how="not-applicable", detail="every two servers are linked"))
    assert (judgement.value, judgement.exit_code, judgement.verdicts) == ("skipped", 2, ())
    assert judgement.sentence == "Every two servers are linked."  # "SKIPPED:" stands before it


def secret(expects, encryption):
    told = SampleHistory(expects=expects)
    alice, bob = told.device("alice", "island", encryption="omemo"), told.device("bob", "home", encryption="omemo")
    told.say(alice, bob, encryption=encryption, canary="canary-0123456789")
    return judged(told.finish())


def test_expects_turns_a_check_round():
    assert secret((), "omemo").value == "valid"
    assert secret((), "plain").value == "failed"
    assert secret((("secrecy", "failed"),), "plain").value == "valid"
    judgement = secret((("secrecy", "failed"),), "omemo")
    assert judgement.value == "failed"
    assert judgement.sentence.startswith("secrecy should be failed and is valid")


def test_a_check_that_should_fail_and_judged_nothing_leaves_the_run_unknown():
    assert judged(story(expects=(("secrecy", "failed"),)).finish()).value == "unknown"


def test_expecting_something_of_no_check_is_unknown():
    judgement = judged(story(expects=(("secretcy", "failed"),)).finish())
    assert judgement.value == "unknown"
    assert "there are: delivery, durability, integrity, reachability, roster" in judgement.sentence


def test_json_has_all_of_it():
    data = judged(story().finish()).to_json()
    assert (data["value"], data["exit_code"]) == ("valid", 0)
    assert [each["check"] for each in data["verdicts"]] == [*CHECKS, "expectations"]


def test_a_history_with_a_gap_is_unknown_and_names_it():
    told = story().finish()
    told.events.insert(3, HistoryGap(at=told.time, text="event 4 is missing"))
    judgement = judged(told)
    assert (judgement.value, judgement.exit_code) == ("unknown", 2)
    assert "event 4 is missing" in judgement.sentence
    assert judgement.verdicts[0].findings[0].sentence == "The history is incomplete: event 4 is missing."


def test_an_expectation_about_what_nobody_sent_is_unknown_though_it_held():
    told = story()
    told.expect(message="x9")
    judgement = judged(told.finish())
    assert judgement.value == "unknown"
    assert "about message x9, which nobody sent" in judgement.sentence


def whole_history():
    """A message that is delivered, one that bounces, an expectation about each."""
    told = story()
    alice, carol = "alice@island.test/phone", told.device("carol", "public")
    told.say(alice, carol)
    told.expect(message="m1")
    told.expect(message="m2")
    return told.finish()


def test_no_line_can_be_taken_out_of_a_history_unnoticed(tmp_path):
    told = whole_history()
    path = tmp_path / "history.jsonl"
    with Recorder(path) as recorder:
        for event in told.events:
            recorder.record(event)
    assert judge(RunRecord(read(path), told.plan)).value == "valid"
    lines = path.read_bytes().splitlines(keepends=True)
    for number in range(len(lines)):
        path.write_bytes(b"".join(lines[:number] + lines[number + 1 :]))
        assert judge(RunRecord(read(path), told.plan)).value in ("unknown", "failed"), lines[number]


def test_no_sent_event_can_be_taken_out_of_an_older_history_unnoticed(tmp_path):
    told = whole_history()
    path = tmp_path / "history.jsonl"
    lines = [json.dumps(event.to_json()).encode() + b"\n" for event in told.events]
    path.write_bytes(b"".join(lines))
    assert judge(RunRecord(read(path), told.plan)).value == "valid"
    sent = [number for number, event in enumerate(told.events) if isinstance(event, Sent)]
    assert len(sent) == 3
    for number in sent:
        path.write_bytes(b"".join(lines[:number] + lines[number + 1 :]))
        assert judge(RunRecord(read(path), told.plan)).value in ("unknown", "failed"), lines[number]
