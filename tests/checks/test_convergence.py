"""After a fault: presence, rosters and rooms that agree, and what stays different."""

from lab.checks import Value
from lab.checks.convergence import WITHIN, check
from lab.history.events import Disconnected, FaultApplied, FaultHealed, RosterRead
from lab.metrics.record import RunRecord
from tests.checks.changed_history import only
from tests.checks.test_occupants import BOTH, joined, read
from tests.checks.test_roster import ALICE, BOB, granted, received, rosters


def fault(told):
    told.add(FaultApplied, number=1, fault="cut", began=told.time, servers=("home",))
    told.add(FaultHealed, number=1, fault="cut", began=told.time)


def contacts(*, sees=True):
    """Alice sees bob by both rosters; after a fault her device was, or was not, told that his is available."""
    told = granted()
    fault(told)
    if sees:
        received(told, f"{ALICE}/phone", f"{BOB}/phone", None)
    return told


def judged(told):
    return check(RunRecord(tuple(told.events), told.plan))


def later(told, seconds=WITHIN + 1):
    told.time += seconds
    rosters(told, ("to", ""), ("from", ""))


def test_all_agree_and_the_time_is_said():
    told = contacts()
    rosters(told, ("to", ""), ("from", ""))
    for device in (f"{ALICE}/phone", f"{BOB}/phone"):
        told.add(Disconnected, device=device, stream="s")
    verdict = judged(told)
    assert verdict.value is Value.VALID and verdict.judged == 2
    assert verdict.sentence == "All agree 0.0 s after the last fault was healed, or sooner (2 comparisons)."


def test_nothing_is_judged_without_a_fault_or_without_a_reading_after_it():
    told = granted()
    rosters(told, ("to", ""), ("from", ""))
    assert (judged(told).value, judged(told).judged) == (Value.UNKNOWN, 0)
    fault(told)
    assert (judged(told).value, judged(told).judged) == (Value.UNKNOWN, 0)


def test_one_who_is_available_and_is_not_seen_is_unknown_at_first_and_failed_later():
    told = contacts(sees=False)
    rosters(told, ("to", ""), ("from", ""))
    assert "60 s may pass" in only(judged(told), Value.UNKNOWN).sentence
    later(told)
    finding = only(judged(told))
    assert f"Presence (home - island): {ALICE}/phone sees {BOB}/phone unavailable, and it is available" in (
        finding.sentence
    )
    assert finding.sentence.startswith("61 s after the last fault was healed:")


def test_one_who_is_gone_and_still_seen():
    told = contacts()
    told.add(Disconnected, device=f"{BOB}/phone", stream="s")
    later(told)
    assert f"sees {BOB}/phone available, and it is unavailable" in only(judged(told)).sentence
    received(told, f"{ALICE}/phone", f"{BOB}/phone", "unavailable")
    later(told)
    assert judged(told).value is Value.VALID


def test_unavailable_from_a_bare_jid_is_for_all_its_devices():
    told = contacts()
    received(told, f"{ALICE}/phone", BOB, "unavailable")
    later(told)
    assert "unavailable, and it is available" in only(judged(told)).sentence


def test_rosters_that_differ_are_judged_by_the_roster_check_as_well():
    told = contacts()
    told.time += WITHIN + 1
    told.add(RosterRead, person=ALICE, items=())
    told.add(RosterRead, person=BOB, items=((ALICE, "from", ""),))
    assert only(judged(told)).check == "roster"


def test_rooms_that_differ_are_judged_by_the_rooms_check_as_well():
    told, alice, bob = joined()
    fault(told)
    told.time += WITHIN + 1
    read(told, {alice: BOTH[:1], bob: BOTH})
    assert only(judged(told)).check == "rooms"
    read(told, {alice: BOTH, bob: BOTH})
    assert judged(told).value is Value.VALID
