"""Order: two messages of one stream, the wrong way round or not to be compared."""

import pytest

from lab.checks import Value
from lab.history.events import Delivered, Intervened, Sent, ServerSaw
from tests.checks.changed_history import change, judged, only, two


def swap(told, one, other):
    told.events[one], told.events[other] = told.events[other], told.events[one]


def reordered():
    told, alice, bob = two()
    for _ in range(3):
        told.say(alice, bob)
    told.finish()
    swap(told, told.index(Delivered, message="m1"), told.index(Delivered, message="m2"))
    return told


def test_order_is_judged_and_both_messages_named():
    told = reordered()
    swap(
        told,
        told.index(ServerSaw, id="m1", server="home", direction="out"),
        told.index(ServerSaw, id="m2", server="home", direction="out"),
    )
    finding = only(judged(told))
    assert finding.message == "m2"
    assert "m2 from alice@island.test overtook m1" in finding.sentence
    assert finding.cause == "home received them in order and sent them in reverse order"


def test_the_attack_on_the_message_that_is_late_is_the_cause():
    told = reordered()
    sent = told.events[told.index(Sent, message="m1")]
    told.add(
        Intervened, attack="intercept", action="delay", source="island", target="home", name="message", id="m1",
        sender=sent.sender, receiver=sent.receiver,
    )  # fmt: skip
    assert only(judged(told)).cause == "intercept acted on it between island and home (delay)"


def test_a_marker_that_overtakes_is_found_too():
    told, alice, bob = two()
    told.say(alice, bob)
    told.finish()
    swap(told, told.index(Delivered, message="m1"), told.index(Delivered, message="m2"))
    assert only(judged(told)).message == "m2"


def test_sends_at_once_count_in_the_order_their_server_took_them():
    told = reordered()
    swap(
        told,
        told.index(ServerSaw, id="m1", server="island", direction="in"),
        told.index(ServerSaw, id="m2", server="island", direction="in"),
    )
    assert judged(told).value is Value.VALID


@pytest.mark.parametrize("values", [{"stream": "another"}, {"via": "archive"}])
def test_order_is_that_of_one_live_stream(values):
    told = reordered()
    change(told, told.index(Delivered, message="m1"), **values)
    assert judged(told).value is Value.VALID


def test_two_senders_have_no_common_order():
    told, alice, bob = two()
    carol = told.device("carol", "island")
    told.say(alice, bob)
    told.say(carol, bob)
    swap(told, told.index(Delivered, message="m1"), told.index(Delivered, message="m2"))
    assert judged(told.finish()).value is Value.VALID
