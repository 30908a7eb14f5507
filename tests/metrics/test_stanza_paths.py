"""Paths of stanzas: each observation behind the one that it follows, and what answers what."""

from lab.history.events import DeviceSaw, ServerSaw
from lab.metrics.record import RunRecord
from lab.metrics.stanza_paths import list_stanza_paths
from tests.checks.sample_history import SampleHistory

ALICE, BOB = "alice@island.test/phone", "bob@home.test/phone"


def paths_of(told):
    return list_stanza_paths(RunRecord(tuple(told.events), told.plan))


def way(path):
    return [(one.place, one.direction, one.before) for one in path.observations]


def saw(told, server, direction, stream, name="message", **values):
    values = {"type": None, "id": None, "sender": ALICE, "receiver": BOB, "stanza": None, "peer": "", **values}
    return told.add(
        ServerSaw, server=server, direction=direction, stream=stream, name=name, size=1, encryption=None, body=False,
        **values,
    )  # fmt: skip


def device_saw(told, device, direction, name="message", **values):
    values = {"type": None, "id": None, "sender": None, "receiver": None, "stanza": "<x/>", **values}
    return told.add(DeviceSaw, device=device, stream="s", direction=direction, name=name, **values)


def test_a_message_goes_from_its_device_over_both_servers_to_the_other():
    told = SampleHistory()
    told.device("alice", "island"), told.device("bob", "home")
    device_saw(told, ALICE, "out", id="x1", type="chat", receiver="bob@home.test")
    saw(told, "island", "in", "c2s", id="x1", type="chat", peer=ALICE)
    saw(told, "island", "out", "s2s", id="x1", type="chat", peer="home.test")
    saw(told, "home", "in", "s2s", id="x1", type="chat", peer="island.test")
    saw(told, "home", "out", "c2s", id="x1", type="chat", peer=BOB)
    device_saw(told, BOB, "in", id="x1", type="chat", sender=ALICE)
    (path,) = paths_of(told)
    assert way(path) == [
        (ALICE, "out", None), ("island", "in", 0), ("island", "out", 1), ("home", "in", 2), ("home", "out", 3),
        (BOB, "in", 4),
    ]  # fmt: skip
    assert (path.sender, path.receiver, path.kind) == (ALICE, "bob@home.test", "message")
    assert all(one.seen for one in path.observations)


def test_events_that_only_say_that_it_was_sent_and_delivered_are_ends_of_the_path():
    told = SampleHistory()
    alice, bob = told.device("alice", "island"), told.device("bob", "home")
    told.say(alice, bob)
    (path,) = paths_of(told)
    assert way(path)[0] == (ALICE, "out", None) and way(path)[-1][:2] == (BOB, "in")
    assert path.sent is not None and path.sent.message == "m1"


def test_a_stanza_to_several_is_one_path_with_branches():
    told = SampleHistory()
    saw(told, "home", "in", "c2s", id="x1", type="groupchat", receiver="room@conference.home.test", peer=BOB)
    for one in ("carol@home.test/a", "dave@home.test/a"):
        saw(told, "home", "out", "c2s", id="x1", type="groupchat", sender="room@conference.home.test/bob",
            receiver=one, peer=one)  # fmt: skip
        device_saw(told, one, "in", id="x1", type="groupchat")
    (path,) = paths_of(told)
    assert [before for _, _, before in way(path)] == [None, 0, 1, 0, 3]


def test_what_a_sender_notes_late_still_comes_first():
    """An agent may write down what it sent after the server has it."""
    told = SampleHistory()
    device_saw(told, ALICE, "out", "presence", type="subscribe", receiver="bob@home.test", at=1000.5)
    saw(told, "island", "in", "c2s", "presence", type="subscribe", receiver="bob@home.test", peer=ALICE, at=1000.4)
    (path,) = paths_of(told)
    assert [one.place for one in path.observations] == [ALICE, "island"]
    assert path.observations[0].at == 1000.4


def test_equal_stanzas_keep_their_order():
    told = SampleHistory()
    for _ in range(2):
        device_saw(told, ALICE, "out", "presence", type="subscribe", receiver="bob@home.test")
    for _ in range(2):
        saw(told, "island", "in", "c2s", "presence", type="subscribe", receiver="bob@home.test", peer=ALICE)
    first, second = paths_of(told)
    assert [one.number for one in first.observations] == [2, 4]
    assert [one.number for one in second.observations] == [3, 5]


def test_a_hop_that_nobody_recorded_is_said():
    told = SampleHistory()
    saw(told, "island", "in", "c2s", id="x1", peer=ALICE)
    device_saw(told, BOB, "in", id="x1", sender=ALICE)
    (path,) = paths_of(told)
    assert [one.seen for one in path.observations] == [True, False]


def test_answers_errors_and_receipts_have_causes():
    told = SampleHistory()
    saw(told, "island", "in", "c2s", "iq", id="q", type="get", receiver="island.test", peer=ALICE)
    saw(told, "island", "out", "c2s", "iq", id="q", type="result", sender="island.test", receiver=ALICE, peer=ALICE)
    saw(told, "island", "in", "c2s", id="x1", type="chat", peer=ALICE)
    saw(told, "island", "out", "c2s", id="x1", type="error", sender=BOB, receiver=ALICE, peer=ALICE)
    saw(told, "home", "in", "c2s", id="r", sender=BOB, receiver=ALICE, peer=BOB,
        stanza="<message id='r'><received xmlns='urn:xmpp:receipts' id='x1'/></message>")  # fmt: skip
    found = paths_of(told)
    assert [one.causes for one in found] == [[], [0], [], [2], [2]]


def test_an_answer_to_somebody_else_with_the_same_id_is_none():
    told = SampleHistory()
    saw(told, "island", "in", "c2s", "iq", id="q", type="get", receiver="island.test", peer=ALICE)
    saw(told, "home", "out", "c2s", "iq", id="q", type="result", sender="home.test", receiver=BOB, peer=BOB)
    assert [one.causes for one in paths_of(told)] == [[], []]


def test_of_stanzas_without_an_id_none_is_guessed():
    """Two that look alike are two: one that nobody saw on its way does not continue the path of the other."""
    told = SampleHistory()
    values = {"type": "unavailable", "sender": "bob@home.test", "receiver": "alice@island.test"}
    saw(told, "island", "out", "c2s", "presence", **values, peer=ALICE)
    device_saw(told, ALICE, "in", "presence", **values)
    device_saw(told, ALICE, "in", "presence", **values)
    first, second = paths_of(told)
    assert [one.seen for one in first.observations] == [True, True] and len(second.observations) == 1


def test_a_feed_without_the_peer_of_a_stream_leads_to_the_device_of_the_account():
    told = SampleHistory()
    saw(told, "home", "out", "c2s", id="x1", receiver="bob@home.test")
    device_saw(told, BOB, "in", id="x1", sender=ALICE)
    (path,) = paths_of(told)
    assert [one.seen for one in path.observations] == [True, True]


def test_events_of_a_node_and_roster_pushes_follow_what_made_them():
    told = SampleHistory()
    told.device("alice", "island"), told.device("bob", "home")
    other = "alice@island.test/tablet"
    roster = "<iq><query xmlns='jabber:iq:roster'><item jid='{}'/></query></iq>"
    device_saw(
        told, ALICE, "out", "iq", id="1", type="set", stanza="<iq><pubsub><publish node='devices'/></pubsub></iq>"
    )
    event = "<message><event xmlns='http://jabber.org/protocol/pubsub#event'><items node=\"{}\"/></event></message>"
    device_saw(told, BOB, "in", sender="alice@island.test", stanza=event.format("devices"))
    device_saw(told, BOB, "in", id="e2", sender="alice@island.test", stanza=event.format("nick"))
    device_saw(told, ALICE, "out", "iq", id="2", type="set", stanza=roster.format("carol@public.test"))
    device_saw(told, other, "in", "iq", id="p1", type="set", receiver=other, stanza=roster.format("carol@public.test"))
    device_saw(told, other, "in", "iq", id="p2", type="set", receiver=other, stanza=roster.format("bob@home.test"))
    device_saw(told, ALICE, "out", "presence", id="s", type="subscribe", receiver="bob@home.test")
    device_saw(told, other, "in", "iq", id="p3", type="set", receiver=other, stanza=roster.format("bob@home.test"))
    assert [one.causes for one in paths_of(told)] == [[], [0], [], [], [3], [], [], [6]]
