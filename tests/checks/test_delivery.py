"""Delivery: outcome sets of messages, made wrong one way at a time."""

import pytest

from lab.checks import Value
from lab.history.events import (
    Bounced,
    Connected,
    Delivered,
    DeviceSaw,
    Disconnected,
    NotSent,
    RouteSettled,
    Sent,
    ServerEnded,
    ServerSaw,
    ServerStarted,
)
from tests.checks.changed_history import change, copy_of, judged, only, two
from tests.checks.sample_history import SampleHistory


def test_what_arrives_once_is_valid_and_counted():
    told, alice, bob = two()
    carol = told.device("carol", "public")
    told.say(alice, bob)
    told.say(alice, carol)  # no link: bounces
    verdict = judged(told.finish())
    assert (verdict.value, verdict.judged, verdict.findings) == (Value.VALID, 2, ())
    assert verdict.sentence == "2 messages: 1 delivered once to each device that should get it, in order; 1 bounced."


def test_no_message_judges_nothing():
    verdict = judged(SampleHistory().finish())
    assert (verdict.value, verdict.judged) == (Value.UNKNOWN, 0)


def test_one_message_of_several_is_lost_and_named_with_its_last_hop():
    told, alice, bob = two()
    for _ in range(3):
        told.say(alice, bob)
    told.finish()
    told.drop(Delivered, message="m2")
    told.drop(ServerSaw, id="m2", server="home", direction="out")
    finding = only(judged(told))
    assert (finding.message, finding.servers) == ("m2", ("island", "home"))
    assert finding.last_hop == "home received it from island (in, s2s)"
    assert finding.cause == "home received it and sent it to no device"
    assert "is lost" in finding.sentence
    assert finding.stanzas[-1] == "home in s2s: <message id='m2'>None</message>"


HOPS = [
    (("home", "out", "c2s"), "home received it from island", "home received it and sent it to no device"),
    (("home", "in", "s2s"), "island sent it on its stream to home", "lost on the link island - home"),
    (
        ("island", "out", "s2s"),
        "island received it from its sender's device",
        "island received it and never sent it on",
    ),
    (("island", "in", "c2s"), "", "it never reached island: lost between its sender's device and that server"),
]


@pytest.mark.parametrize("number", range(len(HOPS)))
def test_the_last_hop_says_where_a_message_was_lost(number):
    told, alice, bob = two()
    told.say(alice, bob)
    told.finish()
    told.drop(Delivered, message="m1")
    for server, direction, stream in (hop for hop, *_ in HOPS[: number + 1]):
        told.drop(ServerSaw, id="m1", server=server, direction=direction, stream=stream)
    finding = only(judged(told))
    assert finding.last_hop.startswith(HOPS[number][1])
    assert finding.cause == HOPS[number][2]


def test_lost_after_the_last_server_is_said_so_too():
    told, alice, bob = two()
    told.say(alice, bob)
    told.finish().drop(Delivered, message="m1")
    assert only(judged(told)).cause == "lost between home and the device, or the device dropped it"


def test_without_any_feed_no_hop_is_invented():
    told, alice, bob = two()
    told.say(alice, bob)
    told.finish().drop(Delivered, message="m1")
    told.drop(ServerSaw)
    finding = only(judged(told))
    assert (finding.last_hop, finding.cause) == ("", "no server's feed shows how far it got")


@pytest.mark.parametrize(
    ("settled", "why"),
    [
        (None, "no marker was sent after it"),
        ({"arrived": False}, "the marker that was sent after it did not arrive either"),
        ({"broken": True}, "a stream broke on the way"),
    ],
)
def test_what_is_missing_without_proof_is_unknown(settled, why):
    told, alice, bob = two()
    told.say(alice, bob)
    told.finish().drop(Delivered, message="m1")
    if settled is None:
        told.drop(RouteSettled)
    else:
        change(told, told.index(RouteSettled), **settled)
    finding = only(judged(told), Value.UNKNOWN)
    assert finding.message == "m1"
    assert why in finding.sentence


def test_a_marker_from_before_the_message_proves_nothing():
    told, alice, bob = two()
    told.add(RouteSettled, sender=alice, receiver=bob, arrived=True)
    told.say(alice, bob)
    told.finish().drop(Delivered, message="m1")
    later = [place for place, event in enumerate(told.events) if type(event) is RouteSettled][1]
    del told.events[later]
    assert only(judged(told), Value.UNKNOWN).message == "m1"


@pytest.mark.parametrize(("first", "second"), [("live", "live"), ("live", "offline"), ("offline", "offline")])
def test_twice_is_found_and_the_repeating_server_named(first, second):
    told, alice, bob = two()
    told.say(alice, bob)
    told.finish()
    place = told.index(Delivered, message="m1")
    change(told, place, via=first)
    copy_of(told, place, via=second)
    copy_of(told, told.index(ServerSaw, id="m1", server="home", direction="out"))
    finding = only(judged(told))
    assert finding.message == "m1"
    assert f"delivered 2 times to {bob} ({first} and {second})" in finding.sentence
    assert finding.cause == "home received it once and sent it 2 times"


def test_a_copy_from_the_archive_is_no_second_time():
    told, alice, bob = two()
    told.say(alice, bob)
    copy_of(told, told.index(Delivered, message="m1"), via="archive")
    assert judged(told.finish()).value is Value.VALID


@pytest.mark.parametrize("via", ["live", "offline", "carbon"])
def test_a_carbon_of_what_the_device_has_got_is_a_second_time(via):
    told, alice, bob = two()
    told.say(alice, bob)
    change(told, told.index(Delivered, message="m1"), via=via)
    copy_of(told, told.index(Delivered, message="m1"), via="carbon")
    finding = only(judged(told.finish()))
    assert f"was delivered 2 times to {bob} ({via} and carbon)" in finding.sentence
    assert finding.cause == "home sends a carbon copy to a device that has the message (XEP-0280)"


def test_a_carbon_for_another_device_is_no_second_time():
    told, alice, bob = two()
    laptop = told.device("alice", "island", "laptop")
    told.say(alice, bob)
    copy_of(told, told.index(Delivered, message="m1"), via="carbon", device=laptop)
    assert judged(told.finish()).value is Value.VALID


def test_what_somebody_writes_to_themselves_may_come_as_a_carbon_too():
    told, alice, _ = two()
    laptop = told.device("alice", "island", "laptop")
    told.say(alice, laptop)
    copy_of(told, told.index(Delivered, message="m1"), via="carbon")
    assert judged(told.finish()).value is Value.VALID


def test_a_copy_alone_counts_as_delivered():
    told, alice, bob = two()
    told.say(alice, bob)
    change(told, told.index(Delivered), via="archive")
    assert judged(told.finish()).value is Value.VALID


def test_delivered_and_bounced_is_a_contradiction():
    told, alice, bob = two()
    told.say(alice, bob)
    told.add(Bounced, message="m1", device=alice, condition="recipient-unavailable", by="home.test")
    finding = only(judged(told.finish()))
    assert (
        "delivered to bob@home.test/phone and bounced as well (recipient-unavailable by home.test)" in finding.sentence
    )


def test_a_bounce_alone_is_an_honest_outcome():
    told, alice, bob = two()
    told.say(alice, bob)
    told.add(Bounced, message="m1", device=alice, condition="service-unavailable", by="home.test")
    told.finish().drop(Delivered, message="m1")
    assert judged(told).value is Value.VALID


def test_every_expected_device_counts():
    told, alice, bob = two()
    tablet = told.device("bob", "home", "tablet")
    told.say(alice, bob, tablet)
    told.finish().drop(Delivered, message="m1", device=tablet)
    assert f"reached {tablet}, it did not" in only(judged(told)).sentence


def test_a_message_that_never_left_its_device_is_not_judged():
    told, alice, bob = two()
    told.say(alice, bob)
    told.say(alice, bob)
    told.add(NotSent, message="m2", reason="no bundle")
    told.finish().drop(Delivered, message="m2")
    verdict = judged(told)
    assert (verdict.value, verdict.judged) == (Value.VALID, 1)


def later():
    """A message to somebody who is away, and comes online afterwards."""
    told, alice, bob = two()
    told.say(alice, bob)
    told.drop(Delivered)
    told.drop(Connected, device=bob)
    change(told, told.index(Sent), expected=("bob@home.test",))
    return told, alice, bob


def test_offline_messages_arrive_once_with_whoever_comes_first():
    told, alice, bob = later()
    told.device("bob", "home")
    told.add(Delivered, message="m1", sender=alice, device=bob, stream="s", via="offline")
    told.device("bob", "home", "tablet")
    assert judged(told.finish()).value is Value.VALID


def test_the_offline_store_is_not_handed_out_twice():
    told, alice, bob = later()
    tablet = told.device("bob", "home", "tablet")
    told.device("bob", "home")
    for device in (tablet, bob):
        told.add(Delivered, message="m1", sender=alice, device=device, stream="s", via="offline")
    assert "from the offline store to several devices" in only(judged(told.finish())).sentence


def test_who_comes_back_and_gets_nothing_has_lost_it():
    told, _, _ = later()
    told.device("bob", "home")
    assert "is lost" in only(judged(told.finish())).sentence


def test_nobody_who_comes_back_proves_nothing():
    told, _, _ = later()
    assert (
        "no device of the lab's that it was sent to became available"
        in only(judged(told.finish()), Value.UNKNOWN).sentence
    )


def test_what_nobody_sent_is_forged():
    told, alice, bob = two()
    told.say(alice, bob)
    told.add(Delivered, message="x9", sender=alice, device=bob, stream="s", via="live")
    finding = only(judged(told.finish()))
    assert (finding.message, "nobody sent it" in finding.sentence) == ("x9", True)


def test_what_somebody_else_may_have_sent_is_unknown():
    told, alice, bob = two()
    told.say(alice, bob)
    told.add(Delivered, message="x9", sender="mallory@island.test/pc", device=bob, stream="s", via="live")
    assert only(judged(told.finish()), Value.UNKNOWN).message == "x9"


def room(told, alice, bob):
    told.add(
        Sent, message="r1", sender=alice, receiver="square@conference.home.test", stream="s", encryption="plain",
        room=True, expected=(alice, bob),
    )  # fmt: skip
    for device in (alice, bob):
        told.add(
            Delivered, message="r1", sender="square@conference.home.test/alice", device=device, stream="s", via="live"
        )


def test_in_a_room_everyone_gets_it_once_its_sender_too():
    told, alice, bob = two()
    room(told, alice, bob)
    assert judged(told.finish()).value is Value.VALID
    copy_of(told, told.index(Delivered, device=bob))
    assert f"delivered 2 times to {bob}" in only(judged(told)).sentence
    told.drop(Delivered, device=bob)
    assert only(judged(told), Value.UNKNOWN).servers == ("island", "home")  # rooms have no markers yet


@pytest.mark.parametrize("sender", ["home.test", "room@conference.home.test"])
def test_what_servers_and_rooms_write_themselves_is_not_forged(sender):
    told, alice, bob = two()
    told.say(alice, bob)
    told.add(Delivered, message="welcome", sender=sender, device=bob, stream="s", via="live")
    assert judged(told.finish()).value is Value.VALID


def test_a_forged_sender_is_found():
    told, alice, bob = two()
    told.say(alice, bob)
    change(told, told.index(Delivered), sender="mallory@island.test/phone")
    assert "as if mallory@island.test/phone had sent it" in only(judged(told.finish())).sentence


def test_a_message_handed_to_a_stranger_is_found():
    told, alice, bob = two()
    eve = told.device("eve", "home")
    told.say(alice, bob)
    copy_of(told, told.index(Delivered), device=eve)
    assert f"delivered to {eve}, to whom it was not sent" in only(judged(told.finish())).sentence


def test_an_id_used_twice_is_unknown():
    told, alice, bob = two()
    told.say(alice, bob)
    copy_of(told, told.index(Sent), after=1)
    assert "used for two messages" in only(judged(told.finish()), Value.UNKNOWN).sentence


def test_a_bounce_of_what_nobody_sent_is_a_finding():
    told, alice, bob = two()
    told.say(alice, bob)
    told.add(Bounced, message="x9", device=alice, condition="service-unavailable", by="bob@home.test")
    finding = only(judged(told.finish()), Value.UNKNOWN)
    assert (finding.message, finding.servers) == ("x9", ("island", "home"))
    assert "nobody sent it" in finding.sentence


def test_a_bounced_message_whose_sent_event_is_gone_is_a_finding():
    told, alice, bob = two()
    carol = told.device("carol", "public")
    told.say(alice, bob)
    told.say(alice, carol)
    told.finish().drop(Sent, message="m2")
    finding = only(judged(told), Value.UNKNOWN)
    assert finding.message == "m2"
    assert "the history does not have that it was sent" in finding.sentence


def again(told, *, via, unacknowledged=()):
    """Bob's stream breaks, and after a new login he gets the message again."""
    _, bob = (one for one in told.streams)
    told.add(Disconnected, device=bob, stream=told.streams[bob], reason="reset", unacknowledged=unacknowledged)
    told.add(Connected, device=bob, stream="new")
    copy_of(told, told.index(Delivered, message="m1"), via=via, stream="new")
    return told.finish()


@pytest.mark.parametrize("via", ["live", "offline"])
def test_what_was_not_acknowledged_when_its_stream_broke_may_arrive_twice(via):
    told, alice, bob = two()
    told.say(alice, bob)
    assert judged(again(told, via=via, unacknowledged=("m1",))).value is Value.VALID


def test_what_was_acknowledged_may_not():
    told, alice, bob = two()
    told.say(alice, bob)
    assert "was delivered 2 times" in only(judged(again(told, via="offline", unacknowledged=("m2",)))).sentence


def test_what_was_sent_again_between_servers_after_an_outage_may_arrive_twice_or_bounce_as_well():
    told, alice, bob = two()
    told.say(alice, bob)
    told.add(ServerEnded, server="home")
    told.add(ServerStarted, server="home")
    copy_of(told, told.index(Delivered, message="m1"), at=told.time + 1.0)
    told.add(Bounced, at=told.time + 1.0, message="m1", device=alice, condition="remote-server-timeout", by="home.test")
    told.finish()
    assert judged(told).value is Value.VALID
    told.drop(ServerEnded)
    assert len(judged(told).findings) == 2


def test_twice_on_one_stream_is_no_matter_of_acknowledgements():
    """The stream's end afterwards, at the end of the run say, explains nothing."""
    told, alice, bob = two()
    told.say(alice, bob)
    copy_of(told, told.index(Delivered, message="m1"))
    told.finish()
    told.add(Disconnected, device=bob, stream=told.streams[bob], reason="", unacknowledged=("m1",))
    assert "was delivered 2 times" in only(judged(told)).sentence


def test_twice_on_two_streams_of_which_only_the_later_lacks_an_acknowledgement():
    told, alice, bob = two()
    told.say(alice, bob)
    again(told, via="offline")
    told.add(Disconnected, device=bob, stream="new", reason="", unacknowledged=("m1",))
    assert "was delivered 2 times" in only(judged(told)).sentence


def test_an_envelope_without_a_text_is_no_message_if_its_device_wrote_it():
    told, alice, bob = two(encryption="omemo:2")
    told.say(alice, bob, encryption="omemo:2")
    told.add(DeviceSaw, device=bob, stream="s", direction="out", name="message", type="chat", id="x9", sender=None,
             receiver=alice, stanza="<message/>")  # fmt: skip
    told.add(Delivered, message="x9", sender=bob, device=alice, stream="s", via="live")
    assert judged(told.finish()).value is Value.VALID
    told.add(Delivered, message="x9", sender=f"{bob}2", device=alice, stream="s", via="live")
    assert "nobody sent it" in only(judged(told)).sentence
