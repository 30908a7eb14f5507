"""Messages that a server had taken when one went down: kept, returned, or lost."""

from lab.checks import Value
from lab.checks.delivery import check as check_delivery
from lab.checks.durability import check
from lab.history.events import Bounced, ServerEnded, ServerSaw, ServerStarted
from lab.metrics.record import RunRecord
from tests.checks.changed_history import only, two


def record(told):
    return RunRecord(tuple(told.events), told.plan)


def judged(told):
    return check(record(told))


def killed(*, at="home", arrives=False):
    """Home has taken alice's message to bob, and goes down before it hands it out."""
    told, alice, bob = two()
    told.say(alice, bob)
    handed = told.index(ServerSaw, id="m1", server="home", direction="out")
    later = told.events[handed:]
    del told.events[handed:]
    told.add(ServerEnded, server=at)
    told.add(ServerStarted, server=at)
    if arrives:
        for event in later:
            told.add(type(event), **{**vars(event), "at": told.time + 0.01})
    told.finish()
    return told, alice


def test_what_is_handed_out_after_the_restart_is_valid():
    told, _ = killed(arrives=True)
    verdict = judged(told)
    assert (verdict.value, verdict.judged, verdict.servers) == (Value.VALID, 1, ("home",))


def test_what_comes_back_to_its_sender_is_not_lost():
    told, alice = killed()
    told.add(Bounced, message="m1", device=alice, condition="recipient-unavailable", by="bob@home.test")
    assert judged(told).value is Value.VALID


def test_what_was_taken_and_is_gone_is_lost_and_named():
    told, _ = killed()
    finding = only(judged(told))
    assert (
        "Message m1 from alice@island.test to bob@home.test/phone (island - home) was taken before home went down"
        in (finding.sentence)
    )
    assert [one.check for one in check_delivery(record(told)).findings] == ["durability"]


def test_without_a_marker_whether_it_is_lost_is_not_known():
    told, _ = killed()
    told.events = [
        one for one in told.events if not getattr(one, "marker", False) and type(one).__name__ != "RouteSettled"
    ]
    assert "no marker was sent after it" in only(judged(told), Value.UNKNOWN).sentence


def test_what_arrived_before_or_was_never_taken_is_not_judged():
    told, alice, bob = two()
    told.say(alice, bob)
    told.add(ServerEnded, server="home")
    told.add(ServerStarted, server="home")
    told.finish()
    assert (judged(told).value, judged(told).judged) == (Value.UNKNOWN, 0)
    told, _ = killed()
    told.drop(ServerSaw, id="m1", direction="in")
    assert judged(told).judged == 0


def test_another_server_that_goes_down_has_nothing_to_do_with_it():
    told, _ = killed(at="public")
    assert judged(told).judged == 0
