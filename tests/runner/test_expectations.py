import asyncio
from dataclasses import dataclass

import pytest

from lab.history.events import Expectation
from lab.history.recorder import Recorder
from lab.runner import ExpectationFailed, expect, step
from lab.runner.context import active


@dataclass(frozen=True)
class Promise:
    good: str

    def matches(self, actual):
        return actual.text == self.good

    def __str__(self):
        return f"says {self.good}"


@dataclass(frozen=True)
class Outcome:
    text: str
    message: str = "m7"
    settled: bool = True

    def __str__(self):
        return f"it said {self.text}"


@pytest.fixture
def recorder(tmp_path):
    with Recorder(tmp_path / "h.jsonl") as recorder, active(recorder):
        yield recorder


def test_outside_any_run_expect_is_a_plain_assertion():
    expect(2, 2)
    with step("only groups"):
        expect(Outcome("yes"), Promise("yes"))
    with pytest.raises(AssertionError, match=r"expected 3, because it must; got 2"):
        expect(2, 3, because="it must")


async def test_what_holds_is_recorded(recorder):
    with active(recorder):
        with step("outer"), step("inner"):
            expect(Outcome("yes"), Promise("yes"))
        expect(1, 1)
    found, after = [event for event in recorder.events if type(event) is Expectation]
    assert after.step == ""
    assert (found.expected, found.actual, found.held) == ("says yes", "it said yes", True)
    assert (found.step, found.message, found.timed_out) == ("inner", "m7", False)


async def test_what_does_not_hold_is_recorded_and_raised(recorder):
    with active(recorder), pytest.raises(ExpectationFailed, match="expected says yes; got it said no"), step("outer"):
        expect(Outcome("no", settled=False), Promise("yes"))
    begin, expectation, end = recorder.events
    assert (begin.phase, begin.failed, end.phase, end.failed) == ("begin", False, "end", True)
    assert (expectation.held, expectation.timed_out) == (False, True)


async def test_the_message_can_be_given(recorder):
    with active(recorder):
        expect("read", "read", message="m3")
        expect("read", "read", message=Outcome("yes", message="m4"))
        expect("read", "read")
    assert [event.message for event in recorder.events] == ["m3", "m4", None]


async def test_steps_of_tasks_do_not_mix(recorder):
    async def work(name):
        with step(name):
            await asyncio.sleep(0)
            expect(1, 1)

    with active(recorder), step("all"):
        await asyncio.gather(work("a"), work("b"))
    assert [event.step for event in recorder.events if type(event) is Expectation] == ["a", "b"]
