"""What a client of somebody's own sends, and nobody gets: lost where a marker proves it, else not known."""

import pytest

from lab.checks import Value
from lab.history.events import Blocked, Delivered, Disconnected, RouteSettled, Sent, ServerStreamClosed
from tests.checks.changed_history import change, judged, only, two

OWN = "alice@island.test/profanity"


def write(told, number="p1", receiver="bob@home.test", **values):
    """Her server receives a message of her own client; nobody sees it again."""
    sent = Sent(at=0, message=number, sender=OWN, receiver=receiver, stream="", encryption="plain")
    told.saw(number, "island", "in", "c2s", sent, peer=OWN, **values)
    return sent


@pytest.mark.parametrize("receiver", ["bob@home.test", "bob@home.test/phone"])
def test_it_is_lost_if_a_marker_of_anybody_there_arrived_behind_it(receiver):
    told, alice, bob = two()
    told.say(alice, bob)
    write(told, receiver=receiver)
    finding = only(judged(told.finish()))
    assert f"is lost: a marker sent after it reached {bob}" in finding.sentence
    assert (finding.message, finding.servers) == ("p1", ("island", "home"))


def test_without_a_marker_behind_it_nothing_is_known():
    told, _, _ = two()
    write(told)
    assert "no marker was sent after it" in only(judged(told.finish()), Value.UNKNOWN).sentence


OTR = "urn:xmpp:otr:0"
OMEMO = "eu.siacs.conversations.axolotl"


@pytest.mark.parametrize(
    ("namespace", "inside", "lost"),
    [
        (OTR, "<body>?OTR:AAMDAAAAAQAAAAIAxyz.</body>", True),  # a text
        (OTR, "<body>?OTR:AAMCAAAAAQAAAAAxyz.</body>", False),  # of the key exchange
        (OTR, "<body>?OTRv3?</body>", False),
        (OMEMO, f"<encrypted xmlns='{OMEMO}'><header/><payload>xyz</payload></encrypted>", True),
        (OMEMO, f"<encrypted xmlns='{OMEMO}'><header/></encrypted>", False),  # keys alone
        (OTR, None, True),  # a feed that does not tell: what is not known to be keys alone counts
    ],
)
def test_what_an_encryption_itself_sends_is_no_message(namespace, inside, lost):
    told, alice, bob = two()
    told.say(alice, bob)
    stanza = None if inside is None else f"<message type='chat' id='p1'>{inside}</message>"
    write(told, encryption=namespace, body=False, stanza=stanza)
    verdict = judged(told.finish())
    assert (verdict.value is Value.FAILED) is lost, verdict
    assert [one.message for one in verdict.findings] == ["p1"] * lost


def test_a_marker_that_its_server_received_before_it_proves_nothing():
    told, alice, bob = two()
    told.say(alice, bob)
    told.finish()
    write(told)
    ended = told.events.pop(-2)
    told.events.append(ended)
    assert "no marker was sent after it" in only(judged(told), Value.UNKNOWN).sentence


def test_a_marker_of_another_server_proves_nothing():
    told, _, bob = two()
    carol = told.device("carol", "home")
    told.say(carol, bob)
    write(told)
    assert "no marker was sent after it" in only(judged(told.finish()), Value.UNKNOWN).sentence


def test_a_marker_that_did_not_arrive_proves_nothing():
    told, alice, bob = two()
    told.say(alice, bob)
    write(told)
    told.finish()
    change(told, told.index(RouteSettled), arrived=False)
    told.drop(Delivered, marker=True)
    sentences = {one.sentence for one in judged(told).findings}
    assert any("the marker that was sent after it did not arrive either" in one for one in sentences), sentences


def test_a_stream_between_the_servers_that_broke_meanwhile_leaves_it_open():
    told, alice, bob = two()
    told.say(alice, bob)
    write(told)
    told.add(
        ServerStreamClosed, server="island", stream="s2s", direction="out", peer="home.test", id="", tls="TLSv1.3",
        authentication="EXTERNAL",
    )  # fmt: skip
    assert "a stream broke on the way" in only(judged(told.finish()), Value.UNKNOWN).sentence


def test_what_he_has_blocked_is_for_nobody():
    told, alice, bob = two()
    told.say(alice, bob)
    told.add(Blocked, person="bob@home.test", jid="alice@island.test")
    write(told)
    assert judged(told.finish()).value is Value.VALID


def test_a_receiver_s_own_client_may_have_got_it():
    told, alice, bob = two()
    told.say(alice, bob)
    sent = write(told)
    told.saw("x", "home", "in", "c2s", sent, name="iq", peer="bob@home.test/gajim", body=False)
    assert "which of its receiver's clients" in only(judged(told.finish()), Value.UNKNOWN).sentence
    told.saw("p1", "home", "out", "c2s", sent, peer="bob@home.test/gajim")
    assert judged(told).value is Value.VALID


@pytest.mark.parametrize(("kind", "value"), [("chat", Value.FAILED), ("normal", Value.UNKNOWN)])
def test_of_several_devices_all_must_get_what_is_chat(kind, value):
    told, alice, bob = two()
    told.device("bob", "home", "tablet")
    told.say(alice, bob)
    told.say(alice, "bob@home.test/tablet")
    write(told, type=kind)
    assert judged(told.finish()).value is value


def test_a_device_that_came_while_it_was_on_its_way_need_not_get_it():
    """A server's report is read a moment after the event."""
    told, alice, bob = two()
    told.say(alice, bob)
    at = told.time
    tablet = told.device("bob", "home", "tablet")
    told.say(alice, tablet)
    sent = write(told, at=at)
    told.saw("p1", "home", "out", "c2s", sent, peer=bob)
    told.add(Delivered, message="p1", sender=OWN, device=bob, stream=told.streams[bob], via="live")
    assert judged(told.finish()).value is Value.VALID


def test_who_is_away_gets_it_later_or_nothing_is_known():
    told, alice, bob = two()
    told.say(alice, bob)
    told.add(Disconnected, device=bob, stream=told.streams[bob])
    sent = write(told)
    assert any(
        "no device of the lab's that it was sent to became available" in one.sentence for one in judged(told).findings
    )
    told.device("bob", "home")
    told.saw("p1", "home", "out", "c2s", sent, peer=bob)
    told.add(Delivered, message="p1", sender=OWN, device=bob, stream=told.streams[bob], via="offline")
    assert judged(told.finish()).value is Value.VALID
