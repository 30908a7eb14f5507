"""Which message an event is about, and who said it."""

from dataclasses import replace

import pytest

from lab.checks import Value
from lab.checks.judge import judge
from lab.history.events import Bounced, Delivered, Sent, ServerSaw
from lab.metrics.record import RunRecord
from tests.checks.changed_history import copy_of, judged, only, two


def whole(told):
    return judge(RunRecord(tuple(told.events), told.plan))


def renamed(told, old, new):
    """Give a message another id, in every event about it."""
    for place, event in enumerate(told.events):
        for field in ("message", "id"):
            if getattr(event, field, None) == old:
                told.events[place] = replace(event, **{field: new})


def test_two_people_may_use_the_same_id():
    told, alice, bob = two()
    carol = told.device("carol", "home")
    told.say(alice, bob)
    told.say(carol, bob)
    told.say(bob, alice)
    told.finish()
    for old in ("m2", "m3"):
        renamed(told, old, "m1")
    verdict = judged(told)
    assert (verdict.value, verdict.judged) == (Value.VALID, 3), verdict
    told.drop(Delivered, message="m1", sender=carol)
    finding = only(judged(told))
    assert "from carol@home.test to bob@home.test (home) is lost" in finding.sentence


def test_what_one_sender_says_twice_under_one_id_to_one_receiver_is_not_told_apart():
    told, alice, bob = two()
    told.say(alice, bob)
    copy_of(told, told.index(Sent, message="m1"), at=999.0)
    assert "was used for two messages" in str(judged(told.finish()))


@pytest.mark.parametrize("sender", ["alice@island.test/phone", "mallory@island.test/x"])
def test_an_id_that_another_sender_uses_as_well_hides_nothing(sender):
    told, alice, bob = two()
    told.device("mallory", "island", "x")
    told.say(alice, bob)
    copy_of(told, told.index(Delivered, message="m1"), sender=sender)
    assert judged(told.finish()).value is Value.FAILED


def room_message(told, sender, *devices):
    """What somebody of a scripted server says in a room of home, which reflects it."""
    room = "hall@conference.home.test"
    told.add(
        Sent, message="say", sender=sender, receiver=room, stream="peer", encryption="plain", room=True,
    )  # fmt: skip
    for device in devices:
        told.add(
            Delivered, message="say", sender=f"{room}/nick", device=device, stream=told.streams[device], via="live"
        )


def test_what_is_said_in_a_room_goes_to_its_occupants():
    told, _, bob = two()
    carol = told.device("carol", "home")
    room_message(told, "dave@public.test/x", bob, carol)
    assert judged(told.finish()).value is Value.VALID


def test_a_message_beside_that_of_a_room_with_its_id_is_noticed():
    told, alice, bob = two()
    told.say(alice, bob)
    room_message(told, "dave@public.test/x", bob)
    told.device("mallory", "island")
    told.add(Delivered, message="say", sender="mallory@island.test/phone", device=bob, stream="s", via="live")
    assert "nobody sent it" in only(judged(told.finish())).sentence


def test_a_private_message_in_a_room_is_handed_over_under_the_room_s_address():
    told, alice, bob = two()
    told.add(
        Sent, message="psst", sender=alice, receiver="hall@conference.home.test/bob", stream="s", encryption="plain",
    )  # fmt: skip
    told.add(
        Delivered, message="psst", sender="hall@conference.home.test/alice", device=bob, stream="s", via="live"
    )  # fmt: skip
    assert judged(told.finish()).value is Value.VALID


def own_client(told, bob, origin="alice@island.test/profanity", **values):
    """A message from another client of alice's: the servers saw it, no device of the lab sent it."""
    sent = Sent(at=0, message="p1", sender=origin, receiver="bob@home.test", stream="", encryption="plain")
    told.saw("p1", "island", "in", "c2s", sent, peer=origin, **values)
    told.saw("p1", "island", "out", "s2s", sent, peer="home.test")
    told.saw("p1", "home", "in", "s2s", sent, peer="island.test")
    told.saw("p1", "home", "out", "c2s", sent, peer=bob)
    told.add(Delivered, message="p1", sender=origin, device=bob, stream=told.streams[bob], via="live")


def test_what_a_client_of_somebody_s_own_sends_counts_as_hers():
    told, _, bob = two()
    own_client(told, bob)
    verdict = whole(told.finish())
    assert verdict.value == Value.VALID, verdict
    assert "1 message: 1 delivered once" in verdict.sentence


def test_it_is_judged_like_others():
    told, _, bob = two()
    own_client(told, bob)
    copy_of(told, told.index(Delivered, message="p1"))
    assert "was delivered 2 times" in only(judged(told.finish())).sentence
    told, _, bob = two()
    told.device("eve", "home")
    own_client(told, bob)
    copy_of(told, told.index(Delivered, message="p1"), device="eve@home.test/phone")
    assert "to whom it was not sent" in only(judged(told.finish())).sentence


def test_its_bounce_is_taken_from_the_feed_of_her_server():
    told, _, _ = two()
    origin = "alice@island.test/profanity"
    sent = Sent(at=0, message="p1", sender=origin, receiver="x@public.test", stream="", encryption="plain")
    told.saw("p1", "island", "in", "c2s", sent, peer=origin, receiver="x@public.test")
    error = (
        "<message type='error'><error type='cancel'>"
        "<remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
    )
    told.saw(
        "p1", "island", "out", "c2s", sent, type="error", sender="x@public.test", receiver=origin, stanza=error
    )  # fmt: skip
    verdict = whole(told.finish())
    assert verdict.value == Value.VALID, verdict
    assert "1 refused as promised" in verdict.sentence


def test_without_the_feed_of_her_server_nothing_shows_whose_it_was():
    told, _, bob = two()
    own_client(told, bob)
    told.drop(ServerSaw, server="island")
    assert only(judged(told.finish()), Value.UNKNOWN).message == "p1"


def test_what_strangers_write_to_strangers_is_not_judged():
    told, alice, bob = two()
    told.say(alice, bob)
    origin = "x@island.test/other-run"
    sent = Sent(at=0, message="q", sender=origin, receiver="y@home.test", stream="", encryption="plain")
    told.saw("q", "island", "in", "c2s", sent, peer=origin)
    assert judged(told.finish()).judged == 1


def forged(told, taken):
    """A scripted server on public says something in alice's name to bob on home."""
    values = {"message": "f1", "sender": "public.test", "receiver": "bob@home.test", "stream": "public"}
    sent = told.add(Sent, **values, encryption="plain", claimed="alice@island.test/phone")
    told.saw("f1", "home", "in", "s2s", sent, sender=sent.claimed, peer="public.test")
    if taken:
        told.add(Delivered, message="f1", sender=sent.claimed, device="bob@home.test/phone", stream="s", via="live")


def test_a_forged_message_that_is_taken_fails_and_names_the_server():
    told, _, _ = two()
    forged(told, taken=True)
    finding = only(judged(told.finish()))
    assert (finding.message, finding.servers) == ("f1", ("public", "home"))
    assert "as if from alice@island.test/phone: it was sent on a stream of public.test" in finding.sentence
    assert finding.cause.startswith("home does not compare")


def test_a_forged_message_that_is_refused_is_valid():
    told, _, _ = two()
    forged(told, taken=False)
    assert whole(told.finish()).value == Value.VALID


def test_an_error_to_the_one_whose_name_it_bears_takes_it_as_well():
    told, alice, _ = two()
    forged(told, taken=False)
    told.add(Bounced, message="f1", device=alice, condition="item-not-found", by="bob@home.test")
    assert "was answered to alice" in only(judged(told.finish())).sentence


@pytest.mark.parametrize("name", ["message", "iq"])
def test_what_is_sent_on_though_it_was_received_on_another_server_s_stream(name):
    told, alice, bob = two()
    told.say(alice, bob)
    values = {"name": name, "sender": "alice@island.test/phone", "receiver": bob, "body": False, "stanza": None}
    sent = told.events[told.index(Sent)]
    told.saw("f1", "home", "in", "s2s", sent, peer="public.test", **values)
    assert judged(told).value is Value.VALID  # it was received, and nothing came of it
    told.saw("f1", "home", "out", "c2s", sent, peer=bob, **values)
    finding = only(judged(told.finish()))
    assert f"home received a {name} f1 from alice@island.test/phone on a stream of public.test" in finding.sentence


def test_rooms_speak_on_the_stream_of_their_server():
    told, alice, bob = two()
    told.say(alice, bob)
    sent = told.events[told.index(Sent)]
    for direction, stream, peer in (("in", "s2s", "island.test"), ("out", "c2s", bob)):
        told.saw("r1", "home", direction, stream, sent, sender="hall@conference.island.test/x", peer=peer)
    assert judged(told.finish()).value is Value.VALID


def test_a_history_of_an_earlier_version_is_judged_all_the_same():
    """Without the other end of streams; ids are what they were."""
    told, alice, bob = two()
    told.say(alice, bob)
    assert {one.peer for one in told.events if type(one) is ServerSaw} == {""}
    assert whole(told.finish()).value == Value.VALID
