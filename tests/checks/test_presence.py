"""Whom a message is for depends on presence (RFC 6121 section 8.5): what is right, and what a server does wrong."""

from lab.checks import Value
from lab.history.events import Connected, Delivered, Disconnected, PresenceSent
from tests.checks.changed_history import change, judged, only, two
from tests.checks.sample_history import SampleHistory


def presence(told, device, priority=0, available=True):
    told.add(PresenceSent, device=device, stream=told.streams[device], available=available, priority=priority)


def one_of_two():
    """Bob's phone has more priority than his laptop; alice writes to him."""
    told = SampleHistory()
    alice, phone = told.device("alice", "island"), told.device("bob", "home", "phone")
    laptop = told.device("bob", "home", "laptop")
    presence(told, phone, 5)
    return told, alice, phone, laptop


def delivered(told, message, device, **values):
    sender = told.events[told.index(Delivered)].sender
    told.add(
        Delivered, **{"message": message, "sender": sender, "device": device, "stream": "s", "via": "live", **values}
    )


def test_only_the_most_available_device_must_get_it():
    told, alice, phone, laptop = one_of_two()
    told.say(alice, phone)
    told.routes[alice, laptop] = None
    assert judged(told.finish()).value is Value.VALID


def test_a_server_may_hand_it_to_others_that_are_available():
    told, alice, phone, laptop = one_of_two()
    told.say(alice, phone)
    delivered(told, "m1", laptop)
    assert judged(told.finish()).value is Value.VALID


def test_a_device_with_a_negative_priority_must_not_get_it():
    told, alice, phone, laptop = one_of_two()
    presence(told, laptop, -1)
    told.say(alice, phone)
    delivered(told, "m1", laptop)
    finding = only(judged(told.finish()))
    assert "was not available or had a negative priority" in finding.sentence
    assert finding.cause == "a server ignores presence (RFC 6121 section 8.5.2)"


def test_a_device_that_is_not_available_must_not_get_it():
    told, alice, phone, laptop = one_of_two()
    told.add(PresenceSent, device=laptop, stream=told.streams[laptop], available=False)
    told.say(alice, phone)
    delivered(told, "m1", laptop)
    assert "was not available or had a negative priority" in only(judged(told.finish())).sentence


def test_a_carbon_is_for_each_device_that_asked_for_it():
    told, alice, phone, laptop = one_of_two()
    presence(told, laptop, -1)
    told.say(alice, phone)
    delivered(told, "m1", laptop, via="carbon")
    assert judged(told.finish()).value is Value.VALID


def kept(told, alice, bob):
    """A message to bob, of whose devices none is available: it is kept, and expected at his account."""
    told.say(alice, bob)
    place = told.index(Delivered, message="m1")
    delivery = told.events.pop(place)
    for place, event in enumerate(told.events):
        if getattr(event, "message", None) == "m1" and hasattr(event, "expected"):
            change(told, place, expected=("bob@home.test",))
    return delivery


def test_what_is_kept_for_an_unavailable_device_is_expected_when_it_is_available_again():
    told, alice, bob = two()
    presence(told, bob, available=False)
    kept(told, alice, bob)
    presence(told, bob)
    told.finish()
    assert "is lost" in only(judged(told)).sentence
    delivered(told, "m1", bob, via="offline")
    assert judged(told).value is Value.VALID


def test_what_is_kept_and_never_asked_for_is_unknown():
    told, alice, bob = two()
    presence(told, bob, available=False)
    kept(told, alice, bob)
    finding = only(judged(told.finish()), Value.UNKNOWN)
    assert "no device of the lab's that it was sent to became available" in finding.sentence


def test_presence_that_changes_while_a_message_is_under_way_may_send_it_elsewhere():
    told, alice, phone, laptop = one_of_two()
    told.say(alice, phone)
    change(told, told.index(Delivered, message="m1"), device=laptop)
    presence(told, phone, 0)
    presence(told, laptop, 5)
    told.finish()
    assert judged(told).value is Value.VALID
    told.drop(Delivered, message="m1")
    assert "presence changed meanwhile" in only(judged(told), Value.UNKNOWN).sentence


def test_a_message_to_a_full_jid_is_for_that_device_alone():
    told, alice, phone, laptop = one_of_two()
    told.say(alice, laptop, to=laptop)
    assert judged(told.finish()).value is Value.VALID
    delivered(told, "m1", phone)
    finding = only(judged(told))
    assert f"was delivered to {phone}, though it is addressed to {laptop}" in finding.sentence


def test_what_is_for_a_device_that_has_gone_goes_to_the_others():
    told, alice, phone, laptop = one_of_two()
    told.say(alice, laptop, to=laptop)
    told.add(Disconnected, device=laptop, stream="s")
    told.drop(Delivered, message="m1")
    told.say(alice, phone)
    delivered(told, "m1", phone)
    told.add(Connected, device=laptop, stream="s")
    told.finish()
    assert judged(told).value is Value.VALID
