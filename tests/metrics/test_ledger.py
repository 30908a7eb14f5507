"""The ledger: what became of messages by link and direction, and how late; what is lost is named."""

from dataclasses import replace

from lab.history.events import Bounced, Delivered, FaultApplied, FaultHealed, Intervened, ServerSaw
from lab.metrics import METRICS
from lab.metrics.exposure import NO_FEED, exposure
from lab.metrics.half_disconnected import half_disconnected
from lab.metrics.ledger import LATE, ledger
from lab.metrics.record import RunRecord
from tests.checks.sample_history import SampleHistory


def entries(told):
    found = ledger(RunRecord(tuple(told.events), told.plan))
    return {(one.sender, one.receiver): one for one in found}


def between_two():
    told = SampleHistory()
    return told, told.device("alice", "island"), told.device("bob", "home")


def test_messages_count_by_what_became_of_them() -> None:
    told = SampleHistory()
    alice, bob, carol = (
        told.device(user, server) for user, server in (("alice", "island"), ("bob", "home"), ("carol", "public"))
    )
    told.say(alice, bob)
    told.say(alice, bob)
    told.say(alice, carol)  # no link: it bounces
    told.say(bob, alice)
    lost = told.say(bob, carol)
    told.drop(Delivered, message=lost)
    del told.routes[bob, carol]  # no marker is sent behind it: nobody knows
    counts = {
        pair: (one.linked, one.sent, one.delivered, one.bounced, one.lost, one.unknown)
        for pair, one in entries(told.finish()).items()
    }
    assert counts == {
        ("island", "home"): (True, 2, 2, 0, 0, 0),
        ("island", "public"): (False, 1, 0, 1, 0, 0),
        ("home", "island"): (True, 1, 1, 0, 0, 0),
        ("home", "public"): (True, 1, 0, 0, 0, 1),
    }


def test_a_lost_message_is_named_with_fault_and_last_hop() -> None:
    told, alice, bob = between_two()
    told.add(FaultApplied, number=1, fault="cut", began=told.time, servers=("home",))
    lost = told.say(alice, bob)
    told.add(FaultHealed, number=1, fault="cut", began=told.time)
    told.say(alice, bob)
    told.finish()
    told.drop(Delivered, message=lost)
    told.drop(ServerSaw, id=lost, server="home")
    entry = entries(told)["island", "home"]
    assert (entry.sent, entry.delivered, entry.lost) == (2, 1, 1)
    (one,) = entry.losses
    assert (one.message, one.sender, one.device, one.faults) == (lost, "alice@island.test", bob, ("cut",))
    assert one.last_hop == "island sent it on its stream to home (out, s2s)"


def test_a_lost_message_is_named_with_the_attack_that_acted_on_it() -> None:
    told, alice, bob = between_two()
    lost = told.say(alice, bob)
    told.add(
        Intervened, attack="drop-stanzas", action="drop", source="island", target="home", name="message", id=lost,
        sender=alice, receiver="bob@home.test",
    )  # fmt: skip
    told.finish()
    told.drop(Delivered, message=lost)
    (one,) = entries(told)["island", "home"].losses
    assert (one.message, one.faults) == (lost, ("drop-stanzas",))


def test_both_and_duplicate_count_beside_delivered() -> None:
    told, alice, bob = between_two()
    told.say(alice, bob)
    told.add(Bounced, message="m1", device=alice, condition="gone", by=bob)
    told.say(alice, bob)
    place = told.index(Delivered, message="m2")
    told.events.insert(place, told.events[place])
    entry = entries(told.finish())["island", "home"]
    assert (entry.delivered, entry.bounced, entry.both, entry.duplicate) == (2, 1, 1, 1)


def test_delays_are_of_devices_that_were_online() -> None:
    told, alice, bob = between_two()
    seconds = [0.1 * number for number in range(1, 20)] + [LATE + 1]
    for delay in seconds:
        message = told.say(alice, bob)
        sent = next(one for one in told.events if getattr(one, "expected", ()) and one.message == message)
        place = told.index(Delivered, message=message)
        told.events[place] = replace(told.events[place], at=sent.at + delay)
    told.say(alice, bob)
    place = told.index(Delivered, message="m21")
    told.events[place] = replace(told.events[place], at=told.time + 1000, via="offline")
    entry = entries(told.finish())["island", "home"]
    assert entry.late == 1
    got = [round(one, 3) for one in (entry.delay_median, entry.delay_p95, entry.delay_max)]
    assert got == [1.0, 1.9, LATE + 1]


def test_where_nothing_arrives_there_are_no_delays() -> None:
    told, alice, bob = between_two()
    told.say(alice, bob)
    told.drop(Delivered, message="m1")
    entry = entries(told)["island", "home"]
    assert (entry.delay_median, entry.delay_p95, entry.delay_max) == (None, None, None)


def test_each_metric_reads_a_history_in_which_nothing_happened() -> None:
    record = RunRecord(tuple(SampleHistory().finish().events), SampleHistory().plan)
    found = {name: metric(record) for name, metric in METRICS.items()}
    assert [found[name] for name in ("ledger", "left_out", "stanzas")] == [[], [], 0]
    assert {cell.why for cell in exposure(record)} == {NO_FEED}
    assert half_disconnected(record).needed is None
