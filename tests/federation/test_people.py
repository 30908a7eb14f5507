"""People, their devices, their messages and their rooms, with an agent that does what the test says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lab.errors import MissingError, NotApplicable, NotReceived, PeerError, TimedOut, UserError
from lab.federation import Device, Federation
from lab.federation.outcomes import Delivers, Refuses
from lab.history.events import (
    AffiliationSet,
    Blocked,
    DeviceSaw,
    LeftOut,
    Note,
    NotSent,
    PresenceSent,
    RoomLeft,
    Sent,
    Unblocked,
)
from lab.history.key_events import DeviceRemoved, Encrypted
from tests.federation.conftest import FakeAgent


async def test_a_person_has_an_account_and_devices_that_are_connected(federation: Federation, agent: FakeAgent) -> None:
    home = federation.server("home")
    alice = await home.person("alice", devices=2, encryption="omemo", trust="undecided")
    assert agent.made == [("home", ["alice"])]
    assert [one.jid for one in alice.devices] == ["alice@home.test/device1", "alice@home.test/device2"]
    asked = agent.of("connect")[1]
    assert (asked["host"], asked["port"], asked["password"]) == (home.address, 5222, "secret")
    assert (asked["encryption"], asked["trust"], asked["folder"]) == ("omemo", "undecided", "home/alice/device2")
    with pytest.raises(UserError, match="has a device 'device1' already"):
        await alice.add_device("device1")
    with pytest.raises(UserError, match="'pgp' is unknown"):
        await alice.add_device("phone", encryption="pgp")
    assert len(agent.of("connect")) == 2
    await alice.add_device("phone", encryption="plain")
    assert [one["encryption"] for one in agent.of("connect")] == ["omemo", "omemo", "plain"]
    with pytest.raises(UserError, match="at least one device, not 0"):
        await home.person(devices=0)


@pytest.mark.parametrize(
    ("choice", "why"), [({"encryption": "pgp"}, "'pgp' is unknown"), ({"trust": "full"}, "'full'")]
)
async def test_an_unknown_encryption_or_trust_makes_nothing(
    federation: Federation, agent: FakeAgent, choice: dict[str, str], why: str
) -> None:
    for make in (federation.server("home").person, federation.server("home").register):
        with pytest.raises(UserError, match=why):
            await make("alice", **choice)
    assert (agent.made, agent.calls) == ([], [])


async def test_otr_to_a_person_with_two_devices_is_not_sent(federation: Federation, agent: FakeAgent) -> None:
    home = federation.server("home")
    alice, bob = await home.person("alice", encryption="otr"), await home.person("bob", encryption="otr", devices=2)
    with pytest.raises(UserError, match=r"OTR is for one device, and bob@home.test has 2: send to one of `devices`"):
        await alice.send(bob, "secret")
    assert not agent.of("send") and not [one for one in federation.history.events if isinstance(one, Sent)]
    await alice.send(bob.devices[1], "secret")
    assert [one["to"] for one in agent.of("send")] == ["bob@home.test/device2"]
    assert agent.of("connect")[0]["libraries"] == "the libraries of otr"


async def test_without_its_library_an_encryption_is_an_error_and_nothing_connects(
    federation: Federation, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find_none(encryption: str) -> str:
        raise MissingError("OTR needs libotr.so.5")

    monkeypatch.setattr(federation.lab, "find_libraries", find_none)
    with pytest.raises(MissingError, match=r"libotr.so.5"):
        await federation.server("home").person("alice", encryption="otr")
    assert not agent.calls


@pytest.mark.parametrize("answer", ["red", None])
async def test_a_secret_is_asked_by_one_device_and_answered_by_the_other(
    federation: Federation, agent: FakeAgent, answer: str | None
) -> None:
    home = federation.server("home")
    alice, bob = await home.person("alice", encryption="otr"), await home.person("bob", encryption="otr")
    agent.answers["verify"] = lambda _, **fields: {"result": "mismatch"}
    assert await alice.verify(bob, secret="blue", answer=answer, question="which?") == "mismatch"
    (asked,), (answered,) = agent.of("verify"), agent.of("answer")
    assert (asked["to"], asked["secret"], asked["question"]) == ("bob@home.test/device1", "blue", "which?")
    assert (answered["to"], answered["secret"]) == ("alice@home.test/device1", answer)


async def test_a_name_is_given_once_in_a_lab(federation: Federation) -> None:
    home, island = federation.server("home"), federation.server("island")
    assert [(await home.person("alice")).name, (await home.person("alice")).name] == ["alice", "alice2"]
    assert (await island.person("alice")).name == "alice", "another server's"
    assert (await island.person()).name == "bob", "nobody else in the scenario is called so"


@pytest.mark.parametrize("name", ["../../authority", "../../../../../evil", "a/b", "..", "", "with space", "x" * 300])
async def test_a_name_that_cannot_be_one_makes_nothing(
    federation: Federation, agent: FakeAgent, tmp_path: Path, name: str
) -> None:
    home, before = federation.server("home"), _files(tmp_path)
    if name != "..":  # a name like others (RFC 7622), whose folder is not the one above
        with pytest.raises(UserError, match=r"cannot be"):
            await home.person(name)
        assert (agent.made, agent.calls, _files(tmp_path)) == ([], [], before)
    alice = await home.person("alice")
    with pytest.raises(UserError, match="cannot be a room's name"):
        await home.room(f"{name}/", occupants=[alice])
    with pytest.raises(UserError, match="cannot be a resource"):
        await alice.add_device(f"{name}\n")
    assert len(alice.devices) == len(agent.of("connect")) == 1


def _files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


async def test_a_name_is_what_is_on_the_wire(federation: Federation, agent: FakeAgent) -> None:
    home = federation.server("home")
    names = ["UPPER", "Stra\u00dfe", "\uff21\uff22"]
    assert [(await home.person(name)).jid for name in names] == ["upper@home.test", "strasse@home.test", "ab@home.test"]
    assert agent.made == [("home", ["upper"]), ("home", ["strasse"]), ("home", ["ab"])]
    agent.answers["connect"] = lambda device, **_: {"jid": "bound@home.test/x", "stream": "s"}
    assert (await home.person("otherwise")).jid == "bound@home.test", "the server has the last word"


async def test_a_message_is_recorded_before_the_agent_has_it(federation: Federation, agent: FakeAgent) -> None:
    """An answer that came first would be to a message that nobody sent."""
    alice, bob = await federation.server("island").person("alice"), await federation.server("home").person("bob")

    def sent(device: str | None, *, message: str, **_: object) -> None:
        assert [one.message for one in federation.history.events if isinstance(one, Sent)] == [message]

    agent.answers["send"] = sent
    canary = federation.secret()
    message = await alice.send(bob, f"hello {canary}")
    (event,) = (one for one in federation.history.events if isinstance(one, Sent))
    assert (event.sender, event.receiver, event.canary) == (alice.device.jid, bob.jid, canary)
    assert (event.expected, event.encryption, event.marker) == ((bob.device.jid,), "plain", False)
    assert agent.of("send")[0]["message"] == message.id


@pytest.mark.parametrize("character", ["\x07", "\0", "\x1b", "\ud83d", "\ufffe"])
async def test_a_text_that_xml_cannot_carry_is_not_sent(
    federation: Federation, agent: FakeAgent, character: str
) -> None:
    alice, bob = await federation.server("island").person("alice"), await federation.server("home").person("bob")
    with pytest.raises(UserError, match=rf"U\+{ord(character):04X} at position 6 cannot be in XML"):
        await alice.send(bob, f"hello{character}")
    assert not agent.of("send")
    assert not [one for one in federation.history.events if isinstance(one, Sent | NotSent)]
    with pytest.raises(UserError, match=r"U\+D83D at position 1 cannot be written"):
        await alice.device.send_raw("\ud83d")


async def test_what_cannot_be_sent_is_recorded_and_raised(federation: Federation, agent: FakeAgent) -> None:
    alice, bob = await federation.server("island").person(), await federation.server("home").person()

    def fail(device: str | None, **_: object) -> None:
        raise PeerError("no key of bob's")

    agent.answers["send"] = fail
    with pytest.raises(PeerError, match="no key"):
        await alice.send(bob, "hello")
    (event,) = (one for one in federation.history.events if isinstance(one, NotSent))
    assert "no key of bob's" in event.reason


async def test_who_is_not_connected_cannot_send(federation: Federation, agent: FakeAgent) -> None:
    alice, bob = await federation.server("island").person(), await federation.server("home").person()
    await alice.disconnect()
    with pytest.raises(UserError, match="is not connected: call connect"):
        await alice.send(bob, "hello")
    await alice.connect()
    await bob.disconnect()
    message = await alice.send(bob, "hello")
    assert message.expected == (bob.jid,), "the account's: nobody is connected"


async def test_who_must_get_a_message_depends_on_presence(federation: Federation, agent: FakeAgent) -> None:
    alice = await federation.server("island").person()
    bob = await federation.server("home").person(devices=3)
    one, two, three = bob.devices

    def said(device: Device, priority: int = 0, available: bool = True) -> None:
        agent.tell("presence-sent", device.key, stream="s", available=available, priority=priority, show="")

    said(one, 5)
    said(two, 5)
    assert (await alice.send(bob, "hello")).expected == (one.jid, two.jid), "the most available (RFC 6121 8.5.2.1.1)"
    said(one, available=False)
    said(two, -1)
    assert (await alice.send(bob, "hello")).expected == (three.jid,)
    assert (await alice.send(two, "hello")).expected == (two.jid,), "a full JID (RFC 6121 8.5.3.1)"
    await two.disconnect()
    message = await alice.send(two, "hello")
    assert message.expected == (three.jid,), "as if for the bare JID (RFC 6121 8.5.3.2.1)"
    assert (message.receiver, message.to_device, agent.of("send")[-1]["to"]) == (bob, two, two.jid)
    said(three, -1)
    assert (await alice.send(bob, "hello")).expected == (bob.jid,), "kept for whoever becomes available"
    await two.connect()
    assert (await alice.send(bob, "hello")).expected == (two.jid,), "a new stream has priority 0"


async def test_a_blocked_message_is_for_nobody(
    federation: Federation, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.federation.messages.BLOCKED_DEADLINE", 0.01)
    agent.answers["iq"] = lambda device, **_: {"xml": "<iq xmlns='jabber:client' id='1' type='result'/>"}
    alice, bob = await federation.server("island").person(), await federation.server("home").person()
    await bob.block(alice)
    assert "<block xmlns='urn:xmpp:blocking'><item jid=\"alice@island.test\"/></block>" in agent.of("iq")[0]["xml"]
    message = await alice.send(bob, "hello")
    outcome = await message.outcome()
    assert (message.expected, outcome.settled, outcome.deliveries, outcome.bounces) == ((), True, (), ())
    assert (await bob.send(alice, "hello")).expected == ()
    await bob.unblock(alice)
    assert (await alice.send(bob, "hello")).expected == (bob.device.jid,)
    await bob.block("island.test")
    assert (await alice.send(bob.device, "hello")).expected == ()
    kinds = [one.kind for one in federation.history.events if isinstance(one, Blocked | Unblocked)]
    assert kinds == ["blocked", "unblocked", "blocked"]


async def test_a_server_that_refuses_to_block_is_said(federation: Federation, agent: FakeAgent) -> None:
    agent.answers["iq"] = lambda device, **_: {"xml": '<iq id="1" type="error"><error type="cancel"/></iq>'}
    alice, bob = await federation.server("island").person(), await federation.server("home").person()
    with pytest.raises(PeerError, match=r"block alice@island\.test: the server of bob@home\.test answers"):
        await bob.block(alice)
    assert (await alice.send(bob, "hello")).expected == (bob.device.jid,)
    await bob.disconnect()
    with pytest.raises(UserError, match="is not connected"):
        await bob.unblock(alice)


async def test_a_device_says_how_available_it_is(federation: Federation, agent: FakeAgent) -> None:
    bob = await federation.server("home").person()
    await bob.device.presence("dnd", 3)
    assert agent.of("presence") == [{"show": "dnd", "priority": 3}]
    agent.tell("presence-sent", bob.device.key, stream="s", available=True, priority=3, show="dnd")
    (event,) = (one for one in federation.history.events if isinstance(one, PresenceSent))
    assert (event.device, event.available, event.priority, event.show) == (bob.device.jid, True, 3, "dnd")


async def test_a_message_is_settled_by_all_devices_or_a_bounce(federation: Federation, agent: FakeAgent) -> None:
    alice = await federation.server("island").person()
    bob = await federation.server("home").person(devices=2)
    first, second = bob.devices

    def deliver(to: Device, message: str) -> None:
        agent.tell(
            "delivered", to.key, message=message, via="live", body="hello", stream="s", **{"from": alice.device.jid}
        )

    message = await alice.send(bob, "hello")
    deliver(first, message.id)
    assert not (await message.outcome(0.01)).settled
    waiting = asyncio.create_task(message.outcome())
    await asyncio.sleep(0)
    deliver(second, message.id)
    outcome = await waiting
    assert outcome.settled and [one.device for one in outcome.deliveries] == [first.jid, second.jid]
    assert await message.read_by(first, second) == {first: "hello", second: "hello"}
    other = await alice.send(bob, "hello")
    agent.tell("bounced", alice.device.key, message=other.id, condition="gone", by="home.test")
    assert [one.condition for one in (await other.outcome()).bounces] == ["gone"]


async def test_links_promise_a_delivery_and_their_absence_an_error(federation: Federation) -> None:
    alice = await federation.server("island").person()
    near, far = await federation.server("home").person(), await federation.server("public").person()
    assert isinstance((await alice.send(near, "x")).promise, Delivers)
    assert isinstance((await alice.send(far, "x")).promise, Refuses)


@pytest.mark.parametrize(("held", "said"), [([], "none"), (["aa"], "match"), (["aa", "bb"], "mismatch")])
async def test_fingerprints_are_compared_with_what_devices_show(
    federation: Federation, agent: FakeAgent, held: list[str], said: str
) -> None:
    connect = agent.answers["connect"]
    agent.answers["connect"] = lambda device, **fields: {**connect(device, **fields), "fingerprint": "aa"}
    alice, bob = await federation.server("island").person(), await federation.server("home").person()
    agent.answers["fingerprints"] = lambda device, **_: {
        "devices": [{"id": number, "fingerprint": one} for number, one in enumerate(held)]
    }
    assert await alice.compare_fingerprint(bob) == said


async def test_a_room_waits_until_everybody_sees_everybody(federation: Federation, agent: FakeAgent) -> None:
    people = [await federation.server(name).person() for name in ("island", "home")]
    seen: list[str] = []
    agent.answers["join"] = lambda device, *, room, nick, **_: seen.append(f"{room}/{nick}")
    agent.answers["occupants"] = lambda device, **_: {"occupants": seen}
    room = await federation.server("home").room("lobby", occupants=people)
    assert room.jid == "lobby@conference.home.test"
    assert len(agent.of("configure_room")) == 1, "a new room, by its owner"
    assert [one["nick"] for one in agent.of("join")] == ["alice.island", "bob.home"]
    message = await people[0].send(room, "hello")
    assert message.expected == tuple(one.device.jid for one in people), "the sender gets it, too"
    with pytest.raises(TimedOut, match="did not agree") as caught:
        await room.converged(within=0.01)
    assert any("has not reached everyone" in line for line in caught.value.evidence)
    seen.append(f"{room.jid}/ghost")
    with pytest.raises(TimedOut) as caught:
        await room.converged(within="10ms")
    assert any("has too many ['lobby@conference.home.test/ghost']" in line for line in caught.value.evidence)


async def test_who_is_in_a_room_is_what_its_presences_say(federation: Federation, agent: FakeAgent) -> None:
    alice, bob, carol = [await federation.server(name).person() for name in ("island", "home", "public")]
    seen: set[str] = set()
    agent.answers["join"] = lambda device, *, room, nick, **_: seen.add(f"{room}/{nick}")
    agent.answers["occupants"] = lambda device, **_: {"occupants": sorted(seen)}
    room = await federation.server("home").room("lobby", occupants=[alice, bob, carol])
    me = {person: f"{room.jid}/{room.nick(person)}" for person in (alice, bob, carol)}

    def presence(device: Device, about: str, *codes: str, kind: str = "unavailable") -> None:
        agent.tell("presence", device.key, type=kind, codes=list(codes), room=room.jid, **{"from": about})

    presence(alice.device, me[bob], "307")
    presence(bob.device, me[bob], "110", "303")
    presence(bob.device, me[bob], "110", kind="available")
    assert room.occupants == [alice, bob, carol], "about somebody else, a new nickname, nothing that ends"
    presence(bob.device, me[bob], "307", "110")
    agent.tell("disconnected", carol.device.key, stream="s")
    message = await alice.send(room, "hello")
    assert message.expected == (alice.device.jid,)
    agent.tell(
        "delivered", alice.device.key, message=message.id, via="live", body="hello", stream="s", **{"from": me[alice]}
    )
    seen -= {me[bob], me[carol]}
    await room.converged(within=1)
    left = [(one.device, one.codes) for one in federation.history.events if isinstance(one, RoomLeft)]
    assert left == [(bob.device.jid, ("307", "110")), (carol.device.jid, ())]
    await carol.connect()
    await room.join(bob, carol)
    assert room.occupants == [alice, bob, carol]
    assert len(agent.of("configure_room")) == 1, "the room is not new"
    await room.leave(bob)
    assert room.occupants == [alice, carol]


async def test_where_nobody_can_have_an_account_that_is_said(federation: Federation) -> None:
    with pytest.raises(NotApplicable, match="no server of this topology has"):
        federation.peer()
    with pytest.raises(NotApplicable, match="give it `software: scripted`"):
        federation.server("home").peer()


async def test_what_is_sent_raw_counts_as_sent_and_is_settled_like_others(
    federation: Federation, agent: FakeAgent
) -> None:
    alice, bob = await federation.server("island").person("alice"), await federation.server("home").person("bob")
    xml = f"<message to='{bob.jid}' type='chat' id='r1' from='x@y.test'><body>hello</body></message>"
    await alice.device.send_raw(xml)
    (sent,) = (one for one in federation.history.events if isinstance(one, Sent))
    assert (sent.message, sent.sender, sent.expected) == ("r1", alice.device.jid, (bob.device.jid,))
    assert (sent.claimed, agent.of("send_raw")[0]["xml"]) == ("", xml)
    (message,) = federation.participants.messages.values()
    fields = {"message": "r1", "via": "live", "body": "hello", "stream": "s"}
    agent.tell("delivered", bob.device.key, **fields, **{"from": "mallory@island.test/x"})
    assert not message.settled
    agent.tell("delivered", bob.device.key, **fields, **{"from": alice.device.jid})
    assert message.settled


async def test_what_is_sent_raw_and_is_no_message_is_a_note(federation: Federation, agent: FakeAgent) -> None:
    alice = await federation.server("island").person("alice")
    for xml in ("<message to='x@y.test'", "<presence to='a@b.test/\N{HORSE}'/>", "<message to='x@y.test'/>"):
        await alice.device.send_raw(xml)
        note = federation.history.events[-1]
        assert isinstance(note, Note) and xml in note.text
    assert not federation.participants.messages


async def test_what_could_not_be_sent_raw_is_recorded_as_not_sent(federation: Federation, agent: FakeAgent) -> None:
    alice = await federation.server("island").person("alice")

    def fail(device: str | None, **_: object) -> None:
        raise PeerError("the stream is gone")

    agent.answers["send_raw"] = fail
    with pytest.raises(PeerError):
        await alice.device.send_raw("<message to='x@y.test' id='r1'><body>a</body></message>")
    assert [one.message for one in federation.history.events if isinstance(one, NotSent)] == ["r1"]


async def test_each_of_several_raw_messages_counts(federation: Federation, agent: FakeAgent) -> None:
    alice, bob = await federation.server("island").person("alice"), await federation.server("home").person("bob")
    one = f"<message to='{bob.device.jid}' id='%s'><body>a</body></message>"
    await alice.device.send_raw(one % "r1" + one % "r2")
    found = [(each.message, each.expected) for each in federation.history.events if isinstance(each, Sent)]
    assert found == [("r1", (bob.device.jid,)), ("r2", (bob.device.jid,))]


async def test_what_a_device_received_and_sent_is_kept_and_waited_for(federation: Federation, agent: FakeAgent) -> None:
    alice = await federation.server("island").person("alice")
    device = alice.device
    agent.tell("stanza", device.key, direction="out", xml="<message id='m0' to='b@b.test'/>", stream="s")
    waiting = asyncio.create_task(device.received("m1"))
    await asyncio.sleep(0)
    agent.tell("stanza", device.key, direction="in", xml="<message id='m1'><body>hi</body></message>", stream="s")
    found = await waiting
    assert (found.id, found.body, found.direction) == ("m1", "hi", "in")
    assert await device.received(lambda one: one.name == "message") == found == await device.received("m1")
    assert [(one.direction, one.id) for one in device.stanzas] == [("out", "m0"), ("in", "m1")]
    seen = [one for one in federation.history.events if isinstance(one, DeviceSaw)]
    assert [(one.device, one.direction, one.id) for one in seen] == [
        (device.jid, "out", "m0"),
        (device.jid, "in", "m1"),
    ]
    with pytest.raises(NotReceived) as caught:
        await device.received("m0", within=0.01)  # what it sent it has not received
    assert isinstance(caught.value, AssertionError | TimedOut) and "hi" in caught.value.evidence[0]
    assert "received no stanza with 'm0' within 0.01 s" in str(caught.value)


async def test_who_is_left_out_of_an_encrypted_message_is_recorded(federation: Federation, agent: FakeAgent) -> None:
    alice, bob = await federation.server("island").person("alice"), await federation.server("home").person("bob")
    left = {"owner": bob.jid, "device": 7, "reason": "no session", "published": True, "excluded": False}
    agent.answers["send"] = lambda device, **_: {"left_out": [left]}
    message = await alice.send(bob, "hello")
    (event,) = (one for one in federation.history.events if isinstance(one, LeftOut))
    assert (event.message, event.sender, event.owner, event.omemo_device) == (message.id, alice.device.jid, bob.jid, 7)
    assert (event.published, event.excluded, event.reason) == (True, False, "no session")


async def test_a_room_for_members_only_has_its_occupants_as_members(federation: Federation, agent: FakeAgent) -> None:
    home = federation.server("home")
    alice, bob, carol = [await home.person(encryption="omemo") for _ in range(3)]
    seen: list[str] = []
    asked: list[str] = []
    agent.answers["join"] = lambda device, *, room, nick, **_: seen.append(f"{room}/{nick}")
    agent.answers["occupants"] = lambda device, **_: {"occupants": seen}
    agent.answers["iq"] = lambda device, *, xml, **_: asked.append(xml) or {"xml": "<iq type='result'/>"}
    room = await home.room("attic", occupants=[alice, bob], members=[carol], members_only=True, non_anonymous=True)
    (configured,) = agent.of("configure_room")
    assert configured["values"] == {"muc#roomconfig_membersonly": "1", "muc#roomconfig_whois": "anyone"}
    for one, xml in zip((bob, carol), asked, strict=True):
        assert f"jid=\"{one.jid}\" affiliation='member'" in xml
    affiliations = [
        (one.person, one.affiliation) for one in federation.history.events if isinstance(one, AffiliationSet)
    ]
    assert affiliations == [(alice.jid, "owner"), (bob.jid, "member"), (carol.jid, "member")]
    await room.configure(non_anonymous=False)
    assert agent.of("configure_room")[1]["values"]["muc#roomconfig_whois"] == "moderators"
    assert (room.members_only, room.non_anonymous) == (True, False)


async def test_what_is_said_in_a_room_is_encrypted_as_its_sender_encrypts(
    federation: Federation, agent: FakeAgent
) -> None:
    home = federation.server("home")
    alice, bob = await home.person(encryption="omemo"), await home.person(encryption="otr")
    seen: list[str] = []
    agent.answers["join"] = lambda device, *, room, nick, **_: seen.append(f"{room}/{nick}")
    agent.answers["occupants"] = lambda device, **_: {"occupants": seen}
    agent.answers["send"] = lambda device, **_: {"keys": [{"owner": bob.jid, "device": 7}]}
    room = await home.room("attic", occupants=[alice, bob])
    message = await alice.send(room, "hello")
    assert (agent.of("send")[0]["encryption"], message.encryption) == ("omemo", "omemo")
    assert message.encrypted_for == {7}
    (told,) = [one for one in federation.history.events if isinstance(one, Encrypted)]
    assert (told.message, told.sender, told.devices) == (message.id, alice.device.jid, ((bob.jid, 7),))
    back = {"message": message.id, "from": f"{room.jid}/{room.nick(alice)}", "stream": "s", "via": "live"}
    agent.tell("delivered", alice.device.key, body=None, encrypted="eu.siacs.conversations.axolotl", **back)
    assert [(one.device, one.text) for one in message.deliveries] == [(alice.device.jid, "hello")]
    with pytest.raises(UserError, match=r"OTR is for one device, and .* is a room"):
        await bob.send(room, "hello")
    await bob.send(room, "hello", encryption="plain")


async def test_a_device_is_removed_by_another_one(federation: Federation, agent: FakeAgent) -> None:
    numbers = iter((11, 12))
    connect = agent.answers["connect"]
    agent.answers["connect"] = lambda device, **fields: {**connect(device, **fields), "omemo_device": next(numbers)}
    bob = await federation.server("home").person(encryption="omemo", devices=2)
    phone, laptop = bob.devices
    await laptop.remove()
    assert [(call, device, fields.get("omemo_device")) for call, device, fields in agent.calls[-2:]] == [
        ("disconnect", laptop.key, None),
        ("remove_device", phone.key, 12),
    ]
    assert bob.devices == [phone]
    (told,) = [one for one in federation.history.events if isinstance(one, DeviceRemoved)]
    assert (told.device, told.omemo_device, told.by) == (laptop.jid, 12, phone.jid)
    with pytest.raises(UserError, match="was removed: make another one with add_device"):
        await laptop.connect()
    with pytest.raises(UserError, match="has no other connected device, which could remove device1"):
        await phone.remove()
    assert bob.devices == [phone]


async def test_keys_are_rotated_sessions_replaced_and_backups_taken_and_restored(
    federation: Federation, agent: FakeAgent
) -> None:
    home = federation.server("home")
    alice, bob = await home.person(encryption="omemo"), await home.person(encryption="omemo")
    agent.answers["back_up"] = lambda device: {"backup": "3"}
    await alice.device.rotate_signed_prekey()
    await alice.device.replace_sessions(bob)
    assert await alice.device.back_up() == "3"
    await alice.device.restore("3")
    asked = [(call, fields) for call, device, fields in agent.calls[-4:] if device == alice.device.key]
    assert [call for call, _ in asked] == ["rotate_signed_prekey", "replace_sessions", "back_up", "restore"]
    assert (asked[1][1]["of"], asked[3][1]) == (bob.jid, {"backup": "3"})
    notes = [one.text for one in federation.history.events if isinstance(one, Note)]
    assert [one for one in notes if "backup 3" in one] == [
        f"{alice.device}: keys, sessions and trust are copied, backup 3",
        f"{alice.device}: keys, sessions and trust are those of backup 3 again",
    ]


async def test_what_is_no_text_is_sent_as_an_element_and_is_no_message_of_the_run(
    federation: Federation, agent: FakeAgent
) -> None:
    alice = await federation.server("island").person(encryption="omemo:2")
    bob = await federation.server("home").person(encryption="omemo:2")
    message = await alice.send(bob, "hello")
    await alice.device.chat_state(bob, "composing")
    await bob.device.mark(message)
    _, typing, mark = agent.of("send")
    assert (typing["to"], typing["body"], typing["encryption"]) == (bob.jid, None, "omemo:2")
    assert typing["extensions"] == ["<composing xmlns='http://jabber.org/protocol/chatstates'/>"]
    assert mark["to"] == alice.jid
    assert mark["extensions"] == [f"<displayed xmlns='urn:xmpp:chat-markers:0' id=\"{message.id}\"/>"]
    assert len([one for one in federation.history.events if isinstance(one, Sent)]) == 1
    with pytest.raises(UserError, match="chat_state: one of active, composing"):
        await alice.device.chat_state(bob, "sleeping")


async def test_what_was_in_an_envelope_is_received_like_what_was_not(federation: Federation, agent: FakeAgent) -> None:
    bob = await federation.server("home").person(encryption="omemo:2")
    inside = (
        "<message xmlns='jabber:client' id='m1'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
    )
    agent.tell("content", bob.device.key, message="m1", via="live", xml=inside, **{"from": "alice@island.test/x"})
    assert (await bob.device.received("composing", within=1)).decrypted
