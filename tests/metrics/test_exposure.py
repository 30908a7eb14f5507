"""What servers learned: each cell has an event that proves it, and without that event it is not known."""

from dataclasses import replace

import pytest

from lab.history.events import RunEnded, Sent
from lab.history.reader import HistoryGap
from lab.metrics.exposure import (
    BROKEN_OFF,
    FACTS,
    GAP,
    NO_ADDRESSES,
    NO_CONTENT,
    NO_FEED,
    compare_encryptions,
    exposure,
)
from lab.metrics.record import RunRecord
from lab.topology.spec import Feed
from tests.checks.changed_history import change
from tests.checks.sample_history import OMEMO, SampleHistory
from tests.metrics.exposed_history import ALICE, BOB, INSIDE, ROOM, exposed, stanza, stream

BY_ONE = ("contacts", "device_ids", "presence", "receipts", "typing", "rooms", "uploads", "addresses")


def cells(told, how="finished"):
    events = (*told.events, *([RunEnded(at=told.time, how=how)] if how else []))
    return {(cell.server, cell.fact): cell for cell in exposure(RunRecord(events, told.plan))}


def test_each_fact_is_learned_with_the_event_that_proves_it() -> None:
    told, proof = exposed()
    found = cells(told)
    assert {fact: found["island", fact].event for fact in BY_ONE} == proof
    assert [found["island", fact].count for fact in BY_ONE] == [1, 2, 1, 1, 1, 1, 1, 1]
    assert dict(found["island", "device_ids"].subjects) == dict.fromkeys(("77", "88"), proof["device_ids"])
    assert found["island", "contacts"].subjects == ((f"{ALICE} {BOB}", proof["contacts"]),)
    assert found["island", "rooms"].subjects == ((f"{ROOM}/bob", proof["rooms"]),)
    assert found["island", "sizes"].detail == "300-300 B"


@pytest.mark.parametrize("fact", BY_ONE)
def test_without_its_proof_a_fact_was_not_learned(fact) -> None:
    told, proof = exposed()
    del told.events[proof[fact] - 1]
    cell = cells(told)["island", fact]
    assert (cell.count, cell.event, cell.subjects) == (0, None, ())


@pytest.mark.parametrize("fact", BY_ONE)
def test_where_the_history_has_a_gap_what_was_not_learned_is_unknown(fact) -> None:
    told, proof = exposed()
    place = proof[fact] - 1
    told.events[place] = HistoryGap(at=1000.0, text=f"event {place + 1} is missing")
    found = cells(told)
    assert (found["island", fact].count, found["island", fact].why) == (None, GAP)
    others = {one: found["island", one].event for one in BY_ONE if one != fact}
    # The line of the event in the file: the gap stands in none.
    assert others == {one: number - (number > place) for one, number in proof.items() if one != fact}


@pytest.mark.parametrize("how", [None, "interrupted", "lab-error"])
def test_of_a_run_that_broke_off_what_was_learned_is_known_and_the_rest_unknown(how) -> None:
    told, proof = exposed()
    assert cells(told, "expectation")["home", "contacts"].count == 0
    found = cells(told, how)
    assert {fact: found["island", fact].event for fact in BY_ONE} == proof
    assert (found["home", "contacts"].count, found["home", "contacts"].why) == (None, BROKEN_OFF)


def test_other_servers_learn_nothing_of_it_and_without_a_feed_all_is_unknown() -> None:
    told, _ = exposed()
    found = cells(told)
    assert all(found["home", fact].count == 0 for fact in BY_ONE)  # nobody has logged in there
    assert all((found["public", fact].count, found["public", fact].why) == (None, NO_FEED) for fact in BY_ONE)
    assert len(found) == 3 * len(FACTS)


def test_a_server_that_only_opened_streams_learned_nothing_unless_it_has_no_feed() -> None:
    told, _ = exposed()
    stream(told, "public", "home.test", "", stream="s2s", direction="out")
    assert {cells(told)["public", fact].count for fact in FACTS} == {0}
    topology = told.plan.topology
    servers = tuple(replace(one, feed=Feed.OFF) if one.name == "public" else one for one in topology.servers)
    told.plan = replace(told.plan, topology=replace(topology, servers=servers))
    assert {cells(told)["public", fact].why for fact in FACTS} == {NO_FEED}


def test_a_feed_without_content_shows_who_and_when_but_not_what_is_inside() -> None:
    told, _ = exposed()
    for number in range(len(told.events)):
        if hasattr(told.events[number], "stanza"):
            change(told, number, stanza=None)
    found = cells(told)
    for fact in ("contacts", "messages", "times", "sizes", "texts", "presence", "rooms"):
        assert found["island", fact].count == 1
    for fact in ("device_ids", "receipts", "typing", "uploads"):
        assert (found["island", fact].count, found["island", fact].why) == (None, NO_CONTENT)


def test_an_address_that_people_share_is_said_to_be_shared() -> None:
    told, proof = exposed()
    stream(told, "island", "eve@island.test/x", "127.0.0.1")
    stream(told, "island", f"{ALICE}/tablet", "127.0.0.2")
    stream(told, "island", "home.test", "127.0.0.9", stream="s2s")
    cell = cells(told)["island", "addresses"]
    assert (cell.count, cell.event, cell.detail) == (2, proof["addresses"], "2, 2 people share one")


@pytest.mark.parametrize(
    ("inside", "ids"),
    [
        (f"<list xmlns='{OMEMO}'><device id='31'/><device id='32'/></list>", {"31", "32"}),
        (f"<publish node='{OMEMO}.bundles:33'><item id='current'><bundle/></item></publish>", {"33"}),
        ("<devices xmlns='urn:xmpp:omemo:2'><device label='x' id=\"34\"/></devices>", {"34"}),
        ("<items node='urn:xmpp:omemo:2:bundles'><item id='35'><bundle xmlns='urn:xmpp:omemo:2'/></item></items>",
         {"35"}),
        ("<encrypted xmlns='urn:xmpp:omemo:2'><header sid='36'><keys jid='b@b.test'><key kex='true' rid='37'>A</key>"
         "</keys></header></encrypted>", {"36", "37"}),
        (f"<list xmlns='{OMEMO}'/><item id='38'/>", set()),
    ],
)  # fmt: skip
def test_ids_of_devices_are_found_in_lists_bundles_and_messages_of_both_versions(inside, ids) -> None:
    told, _ = exposed()
    stanza(told, "home", "iq", BOB, "dan@home.test", inside, id="i1", type="set")
    assert {subject for subject, _ in cells(told)["home", "device_ids"].subjects} == ids


def test_a_text_is_learned_where_it_is_readable_and_an_encrypted_one_is_not() -> None:
    told = SampleHistory()
    alice, bob = told.device("alice", "island"), told.device("bob", "home")
    told.say(alice, bob, encryption="omemo")
    assert (cells(told)["home", "messages"].count, cells(told)["home", "texts"].count) == (1, 0)
    told.say(alice, bob)
    cell = cells(told)["home", "texts"]
    assert (cell.count, cell.subjects[0][0]) == (1, f"{ALICE} {BOB} m2")
    assert told.events[cell.event - 1].server == "home"


def test_of_clients_without_an_address_in_the_feed_it_is_unknown() -> None:
    told, proof = exposed()
    change(told, proof["addresses"] - 1, address="")
    stanza(told, "home", "presence", f"{BOB}/phone", None, stream="c2s")
    found = cells(told)
    assert [found[name, "addresses"].why for name in ("island", "home")] == [NO_ADDRESSES, NO_ADDRESSES]


def test_what_comes_in_and_goes_out_counts_once_with_its_range() -> None:
    told = SampleHistory()
    alice, bob = told.device("alice", "island"), told.device("bob", "home")
    for _ in range(3):
        told.say(alice, bob)
    told.say(bob, alice)
    found = cells(told)
    for server in ("island", "home"):
        assert (found[server, "contacts"].count, found[server, "messages"].count) == (1, 4)
        assert found[server, "times"].detail.startswith("within 0.")


def test_markers_and_errors_and_what_is_written_inside_a_text_count_for_nothing() -> None:
    told, _ = exposed()
    before = cells(told)
    told.add(Sent, message="marker", sender=f"{BOB}/phone", receiver="eve@home.test", stream="s", encryption="plain",
             marker=True)  # fmt: skip
    stanza(told, "home", "message", f"{BOB}/phone", "eve@home.test", id="marker", body=True)
    stanza(told, "home", "message", f"{BOB}/phone", "eve@home.test", id="e1", body=True, type="error")
    written = (
        "<body>&lt;composing xmlns='http://jabber.org/protocol/chatstates'/> &lt;key rid='5'> urn:xmpp:omemo:2</body>"
    )
    stanza(told, "home", "message", "home.test", f"{BOB}/phone", written, id="e2")
    after = cells(told)
    assert {place: cell.count for place, cell in before.items()} == {place: cell.count for place, cell in after.items()}


def counts(told):
    return {place: cell.count for place, cell in cells(told).items()}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("presence", {"type": "subscribe"}),
        ("presence", {"type": "error"}),
        ("iq", {"type": "result", "inside": INSIDE["uploads"], "id": "u2"}),
        ("message", {"type": "error", "inside": INSIDE["typing"], "id": "t2"}),
        ("message", {"inside": "<header sid='5'><key rid='6'/></header>", "id": "h1"}),
        ("message", {"body": True, "id": "own", "receiver": "dan@home.test"}),
        ("message", {"body": True, "id": "host", "receiver": "home.test"}),
        ("message", {"body": True, "id": "welcome", "sender": "home.test", "receiver": "dan@home.test/x"}),
    ],
)
def test_what_shows_nothing_of_a_fact_does_not_count(name, values) -> None:
    told, _ = exposed()
    before = counts(told)
    stanza(told, "home", name, **{"sender": "dan@home.test/x", "receiver": f"{BOB}/phone", **values})
    assert counts(told) == before


def test_without_an_id_what_goes_out_is_no_second_message() -> None:
    told, _ = exposed()
    for direction in ("in", "out"):
        stanza(told, "home", "message", "dan@home.test/x", BOB, body=True, direction=direction)
    found = cells(told)
    assert (found["home", "contacts"].count, found["home", "messages"].count) == (1, 1)


def test_streams_of_a_scripted_server_are_no_feed_of_stanzas() -> None:
    told, _ = exposed()
    topology = told.plan.topology
    servers = tuple(replace(one, software="scripted") if one.name == "public" else one for one in topology.servers)
    told.plan = replace(told.plan, topology=replace(topology, servers=servers))
    stream(told, "public", "home.test", "", stream="s2s", direction="out")
    assert cells(told)["public", "contacts"].why == NO_FEED


def test_the_stream_proves_who_sent_it() -> None:
    told, _ = exposed()
    stanza(told, "home", "message", "eve@home.test/x", "dan@home.test", id="c1", body=True, stream="c2s",
           peer=f"{BOB}/phone")  # fmt: skip
    assert cells(told)["home", "contacts"].subjects[0][0] == f"{BOB} dan@home.test"


def test_encryptions_are_told_apart_by_the_people_who_use_them() -> None:
    told, proof = exposed()
    carol, dave = told.device("carol", "island"), told.device("dave", "home")
    told.add(RunEnded, how="finished")
    plain = stanza(told, "island", "message", carol, dave, id="p1", body=True, type="chat")
    columns = compare_encryptions(RunRecord(tuple(told.events), told.plan))
    found = {name: {cell.fact: cell for cell in cells} for name, cells in columns.items()}
    assert set(found) == {"omemo", "plain"}
    assert {fact: found["omemo"][fact].event for fact in BY_ONE} == proof
    assert found["omemo"]["contacts"].server == "island"
    assert (found["plain"]["contacts"].count, found["plain"]["contacts"].event) == (1, plain)
    assert [found["plain"][fact].count for fact in ("typing", "receipts", "device_ids", "addresses")] == [0, 0, 0, 0]
