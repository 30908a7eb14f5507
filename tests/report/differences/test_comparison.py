"""Two runs beside each other: what counts as the same, and which difference is the first."""

from dataclasses import replace

import pytest

from lab.checks import judge
from lab.errors import UserError
from lab.history.events import Delivered, Step
from lab.report.differences import text
from lab.report.differences.comparison import compare, name_people
from tests.checks.sample_history import SampleHistory
from tests.report.html.run_histories import record_of, tell_loss, tell_story


def compared(one, other):
    return compare(*((record_of(told), judge(record_of(told))) for told in (one, other)))


def renamed(told, number):
    """The same story with other people, ids and times, as a second run in a lab has."""

    def change(value):
        if isinstance(value, str):
            for name in ("alice", "bob", "carol"):
                value = value.replace(f"{name}@", f"{name}{number}@")
            return f"long-id-{value[1:]}" if value[:1] == "m" and value[1:].isdigit() else value
        return tuple(map(change, value)) if isinstance(value, tuple) else value

    told.events = [
        replace(one, **{key: change(value) for key, value in one.__dict__.items() if key != "at"}, at=one.at + 500)
        for one in told.events
    ]
    return told


def test_a_run_is_the_same_as_itself_and_as_its_repetition_with_new_people():
    assert not compared(tell_story().finish(), tell_story().finish()).different
    found = compared(tell_story().finish(), renamed(tell_story().finish(), 7))
    assert not found.different, [one.align() for one in found.different]
    assert found.count_same()["message"] == 3


def test_the_first_difference_is_the_message_that_took_another_course():
    found = compared(tell_story().finish(), tell_loss())
    first = found.different[0]
    assert first.title == "message 1 from alice@island.test to bob@home.test"
    assert (True, "received by home", "received by home") in first.align()
    assert (False, "sent by home", "neither delivered nor bounced") in first.align()
    assert "check delivery" in [one.title for one in found.different]


def test_a_message_that_only_one_run_has_is_a_difference_where_it_was_sent():
    more = tell_story()
    more.say("alice@island.test/phone", "bob@home.test/phone")
    found = compared(tell_story().finish(), more.finish())
    (pair,) = [one for one in found.different if one.kind == "message"]
    assert (pair.title, pair.first) == ("message 2 from alice@island.test to bob@home.test", None)
    assert found.pairs.index(pair) > [one.title for one in found.pairs].index("step “everyone writes”")


def test_another_encryption_another_path_and_another_end_of_a_step_are_differences():
    plain, sealed = SampleHistory(), SampleHistory()
    for told, encryption in ((plain, "plain"), (sealed, "omemo")):
        told.say(told.device("alice", "island"), told.device("bob", "home"), encryption=encryption)
        told.add(Step, text="it works", phase="begin")
        told.add(Step, text="it works", phase="end", failed=encryption == "omemo")
    found = compared(plain.finish(), sealed.finish())
    assert [one.title for one in found.different][:2] == ["message 1 from alice@island.test to bob@home.test",
                                                          "step “it works”"]  # fmt: skip
    assert (False, "encryption: plain", "encryption: omemo") in found.different[0].align()


def test_places_that_follow_one_another_at_random_do_not_count():
    """Which of two devices gets a copy first is chance."""
    one, other = (SampleHistory() for _ in range(2))
    for told, order in ((one, ("phone", "desk")), (other, ("desk", "phone"))):
        alice = told.device("alice", "island")
        devices = [told.device("bob", "home", name) for name in ("phone", "desk")]
        told.say(alice, *devices)
        mine = [event for event in told.events if isinstance(event, Delivered)]
        for event, name in zip(mine, order, strict=True):
            told.events[told.events.index(event)] = replace(event, device=f"bob@home.test/{name}")
    assert not [pair for pair in compared(one.finish(), other.finish()).different if pair.kind == "message"]


def test_people_of_one_name_on_one_server_are_told_apart():
    told = SampleHistory()
    told.device("user3", "home"), told.device("user12", "home"), told.device("user5", "island")
    rename = name_people(record_of(told))
    assert rename("user12@home.test, user3@home.test/x, user5@island.test") == (
        "user2@home.test, user@home.test/x, user@island.test"
    )


def test_runs_of_two_scenarios_are_refused():
    other = tell_story().finish()
    other.events[0] = replace(other.events[0], scenario="another")
    with pytest.raises(UserError, match="the first run is of story, the second of another"):
        compared(tell_story().finish(), other)


@pytest.mark.parametrize("width", [80, 120])
def test_the_text_fits_and_marks_what_differs(width):
    told = tell_loss()
    long = "alice@island.test/" + "x" * 90
    told.events = [replace(one, sender=long) if isinstance(one, Delivered) else one for one in told.events]
    shown = text.render(compared(tell_story().finish(), told), ["runs/a", "runs/b"], width)
    lines = shown.splitlines()
    assert max(map(len, lines)) <= width
    assert lines[:3] == ["story, two runs", "A  runs/a: VALID", "B  runs/b: FAILED"]
    assert "First difference: message 1 from alice@island.test to bob@home.test" in lines
    assert any(line.startswith("≠ sent by home") for line in lines)
    assert "  check delivery: valid / failed" in lines
    assert any(line.startswith("The same in both: ") for line in lines)
