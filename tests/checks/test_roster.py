"""Rosters that agree, and histories in which a server lost what was said: the check names link, server and cause."""

from lab.checks import Value
from lab.checks.roster import check
from lab.history.events import AccountDeleted, DeviceSaw, FaultApplied, FaultHealed, RosterRead, SubscriptionSent
from lab.metrics.record import RunRecord
from tests.checks.changed_history import only, two

ALICE, BOB = "alice@island.test", "bob@home.test"


def said(told, person, contact, kind):
    told.add(SubscriptionSent, person=person, contact=contact, type=kind)


def received(told, device, sender, kind):
    told.add(
        DeviceSaw, device=device, stream="s", direction="in", name="presence", type=kind, id=None, sender=sender,
        receiver=None, stanza=f"<presence type='{kind}'/>",
    )  # fmt: skip


def rosters(told, alice=("none", ""), bob=("none", "")):
    told.add(RosterRead, person=ALICE, items=((BOB, *alice),))
    told.add(RosterRead, person=BOB, items=((ALICE, *bob),))


def judged(told):
    return check(RunRecord(tuple(told.events), told.plan))


def asked(*, arrives=True):
    told, _, bob = two()
    said(told, ALICE, BOB, "subscribe")
    if arrives:
        received(told, bob, ALICE, "subscribe")
    return told


def granted():
    told = asked()
    said(told, BOB, ALICE, "subscribed")
    return told


def test_a_granted_request_is_in_both_rosters():
    told = granted()
    rosters(told, ("to", ""), ("from", ""))
    verdict = judged(told)
    assert verdict.value is Value.VALID and verdict.judged == 1
    assert verdict.sentence == "1 subscription: both rosters agree."
    assert verdict.servers == ("island",)


def test_the_roster_of_a_deleted_account_is_not_judged():
    told = granted()
    rosters(told, ("to", ""), ("none", ""))
    assert judged(told).value is Value.FAILED
    told.add(AccountDeleted, person=ALICE)
    assert judged(told).judged == 0


def test_nothing_is_judged_without_rosters_that_were_read_afterwards():
    told, _, _ = two()
    rosters(told)
    said(told, ALICE, BOB, "subscribe")
    assert (judged(told).value, judged(told).judged) == (Value.UNKNOWN, 0)


def test_a_request_that_waits_for_an_answer_is_right():
    told = asked()
    rosters(told, ("none", "subscribe"))
    assert judged(told).value is Value.VALID


def test_a_request_that_never_arrives_is_the_fault_of_the_server_that_does_not_repeat_it():
    told, _, _ = two()
    told.add(FaultApplied, number=1, fault="cut", began=told.time, servers=("home",))
    said(told, ALICE, BOB, "subscribe")
    told.add(FaultHealed, number=1, fault="cut", began=told.time)
    rosters(told, ("none", "subscribe"))
    finding = only(judged(told))
    assert "alice@island.test asks for the presence of bob@home.test, who has no such request" in finding.sentence
    assert "(island - home)" in finding.sentence
    assert finding.cause == (
        "island did not repeat the presence of type 'subscribe', which home has not got, for it was sent during cut"
    )
    assert finding.at == "island"


def test_a_request_that_the_own_server_forgot():
    told = asked()
    rosters(told)
    assert "their roster has no such request" in only(judged(told)).sentence


def test_a_grant_that_does_not_arrive():
    told = granted()
    rosters(told, ("none", "subscribe"), ("from", ""))
    finding = only(judged(told))
    assert "they do not see bob@home.test, whose roster says that they do" in finding.sentence
    assert finding.cause.startswith("home did not repeat the presence of type 'subscribed', which island has not got")
    assert finding.at == "island"


def test_a_grant_that_both_servers_lost():
    told = granted()
    rosters(told)
    assert "was granted, and neither roster has it" in only(judged(told)).sentence


def test_an_answer_after_which_the_request_stays():
    told = asked()
    said(told, BOB, ALICE, "unsubscribed")
    rosters(told, ("none", "subscribe"))
    assert "has answered alice@island.test, whose roster still has the request" in only(judged(told)).sentence


def test_what_was_withdrawn_and_is_still_in_one_roster_or_both():
    told = granted()
    said(told, BOB, ALICE, "unsubscribed")
    rosters(told, ("to", ""))
    assert "they see bob@home.test, whose roster says that they do not" in only(judged(told)).sentence
    rosters(told, ("to", ""), ("from", ""))
    assert "was ended, and both rosters still have it" in only(judged(told)).sentence
    rosters(told)
    assert judged(told).value is Value.VALID


def test_both_directions_are_judged():
    told = granted()
    said(told, BOB, ALICE, "subscribe")
    said(told, ALICE, BOB, "subscribed")
    rosters(told, ("both", ""), ("both", ""))
    assert (judged(told).value, judged(told).judged) == (Value.VALID, 2)
    rosters(told, ("to", ""), ("both", ""))
    assert only(judged(told)).at == "home"


def test_a_grant_before_the_request_leaves_open_what_follows():
    told, _, bob = two()
    said(told, BOB, ALICE, "subscribed")
    said(told, ALICE, BOB, "subscribe")
    received(told, bob, ALICE, "subscribe")
    rosters(told, ("none", "subscribe"))
    assert judged(told).value is Value.VALID
    rosters(told, ("to", ""), ("from", ""))
    assert judged(told).value is Value.VALID
