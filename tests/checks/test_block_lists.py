"""What is blocked (XEP-0191) is for nobody, and whether its sender is told is up to the servers."""

import pytest

from lab.checks import Value
from lab.checks.reachability import check
from lab.history.events import Blocked, Bounced, Delivered, Sent, Unblocked
from lab.metrics.record import RunRecord
from tests.checks.changed_history import change, judged, only, two


def blocked(*, delivered=False, answer=""):
    """Bob has blocked alice, who writes to him."""
    told, alice, bob = two()
    told.say(bob, alice)
    told.add(Blocked, person="bob@home.test", jid="alice@island.test")
    told.say(alice, bob)
    change(told, told.index(Sent, message="m2"), expected=())
    if not delivered:
        told.drop(Delivered, message="m2")
    if answer:
        told.add(Bounced, message="m2", device=alice, condition=answer, by="bob@home.test")
    del told.routes[alice, bob]
    return told


@pytest.mark.parametrize("answer", ["", "service-unavailable", "not-acceptable", "forbidden"])
def test_it_may_bounce_or_not(answer):
    told = blocked(answer=answer).finish()
    assert judged(told).value is Value.VALID
    assert check(RunRecord(tuple(told.events), told.plan)).value is Value.VALID, "it says nothing of the link"


def test_a_server_that_delivers_it_fails():
    finding = only(judged(blocked(delivered=True).finish()))
    assert "though one of the two had blocked the other" in finding.sentence


def test_what_was_unblocked_while_it_was_under_way_may_arrive():
    told = blocked(delivered=True)
    told.add(Unblocked, person="bob@home.test", jid="alice@island.test")
    assert judged(told.finish()).value is Value.VALID


def test_what_was_blocked_while_it_was_under_way_is_not_lost():
    told, alice, bob = two()
    told.say(alice, bob)
    told.add(Blocked, person="bob@home.test", jid="alice@island.test")
    told.finish()
    told.drop(Delivered, message="m1")
    assert "one of the two blocked the other meanwhile" in only(judged(told), Value.UNKNOWN).sentence
