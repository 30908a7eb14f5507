import asyncio
from xml.etree import ElementTree as ET

from lab.clients.encryption import DecryptedMessage, Encryption, NotForUs, NotReadable
from lab.clients.inbox import Inbox
from lab.clients.receipts import build_receipt, has_text
from lab.clients.rooms import JoinedRoom
from lab.clients.xmpp.stanzas import MAM, Archived
from lab.declarations.encryptions.omemo import DECLARATION
from lab.errors import PeerError

OMEMO = DECLARATION.namespace
ME = "bob@b.test"


class Slow(Encryption):
    """Opens the later the earlier a message came; ids say what comes of it."""

    name = "slow"

    async def decrypt(self, incoming, sender):
        await asyncio.sleep(0.03 if incoming.id == "first" else 0)
        if incoming.id == "bad":
            raise PeerError("no session")
        if incoming.id == "other":
            raise NotForUs("not for us")
        if incoming.id == "piece":
            return DecryptedMessage("the whole", "ab", "blind", "first-piece")
        if incoming.id == "last-bad-piece":
            raise NotReadable("no session", "first-bad-piece")
        if incoming.id == "bug":
            raise ZeroDivisionError("a bug")
        return DecryptedMessage(f"{incoming.id} from {sender}", "ab", "blind")


def inbox():
    events = []
    made = Inbox(ME, f"{ME}/phone", "s1", Slow(None), lambda event, **fields: events.append((event, fields)))
    return made, events


def message(number, inner="", sender="alice@a.test/pc", kind="chat"):
    payload = f'<encrypted xmlns="{OMEMO}"><header sid="1"/>{inner}</encrypted>'
    return ET.fromstring(
        f'<message xmlns="jabber:client" id="{number}" from="{sender}" to="{ME}" type="{kind}">{payload}</message>'
    )


FULL = "<payload>x</payload>"


async def test_what_took_several_stanzas_has_the_id_of_the_first():
    made, events = inbox()
    for number in ("piece", "last-bad-piece"):
        made.message(message(number))  # without a payload: no delivery
    await made.decrypted()
    told = [(event, fields["message"], fields.get("body") or fields.get("reason")) for event, fields in events]
    assert told == [("decrypted", "first-piece", "the whole"), ("not-decrypted", "first-bad-piece", "no session")]
    await made.close()


class Bounced(Slow):
    def take_bounce(self, message, condition):
        return (message, condition) == ("offer", "service-unavailable")


async def test_what_is_returned_of_an_encryptions_own_is_no_bounce_of_a_message():
    made, events = inbox()
    made._encryption = Bounced(None)
    error = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    for number in ("offer", "other"):
        made.message(ET.fromstring(f'<message xmlns="jabber:client" id="{number}" type="error">{error}</message>'))
    assert [fields["message"] for event, fields in events if event == "bounced"] == ["other"]
    await made.close()


async def test_decryption_keeps_the_order_of_the_stream_and_a_bug_stops_nothing():
    made, events = inbox()
    for number in ("first", "bad", "bug", "last"):
        made.message(message(number, FULL))
    assert [event for event, _ in events] == ["delivered"] * 4
    await made.decrypted()
    after = [(event, fields.get("message"), fields.get("body") or fields.get("reason")) for event, fields in events[4:]]
    assert after == [
        ("decrypted", "first", "first from alice@a.test"),
        ("not-decrypted", "bad", "no session"),
        ("trouble", "decrypting bug: ZeroDivisionError: a bug", None),
        ("decrypted", "last", "last from alice@a.test"),
    ]
    await made.close()


async def test_empty_messages_are_opened_in_silence():
    made, events = inbox()
    for number in ("fine", "other"):
        made.message(message(number))
    await made.decrypted()
    assert events == []
    made.message(message("bad"))
    await made.decrypted()
    assert [event for event, _ in events] == ["trouble"]
    await made.close()


async def test_our_own_words_in_a_room_are_delivered_and_not_opened():
    made, events = inbox()
    loop = asyncio.get_running_loop()
    room = JoinedRoom("r@rooms.test", "me", loop.create_future(), loop.create_future())
    room.occupants = {"r@rooms.test/me": ME, "r@rooms.test/al": "alice@a.test"}
    made.rooms["r@rooms.test"] = room
    made.message(message("mine", FULL, "r@rooms.test/me", "groupchat"))
    made.message(message("hers", FULL, "r@rooms.test/al", "groupchat"))
    await made.decrypted()
    told = [(event, fields["message"], fields.get("body")) for event, fields in events]
    assert told == [("delivered", "mine", None), ("delivered", "hers", None),
                    ("decrypted", "hers", "hers from alice@a.test")]  # fmt: skip
    await made.close()


async def test_archive_results_nobody_asked_for_are_trouble():
    made, events = inbox()
    result = (f'<message xmlns="jabber:client" from="evil@b.test"><result xmlns="{MAM}" queryid="q" id="1">'
              '<forwarded xmlns="urn:xmpp:forward:0"><message xmlns="jabber:client" id="m"><body>x</body></message>'
              "</forwarded></result></message>")  # fmt: skip
    made.message(ET.fromstring(result))
    assert [event for event, _ in events] == ["trouble"]
    found = made.collect("q")
    made.message(ET.fromstring(result))
    assert [each.xml.get("id") for each in found] == ["m"]
    await made.close()


async def test_a_rooms_presences():
    made, events = inbox()
    loop = asyncio.get_running_loop()
    room = JoinedRoom("r@rooms.test", "me", loop.create_future(), loop.create_future())
    made.rooms["r@rooms.test"] = room

    def presence(nick, status="", kind="", jid=""):
        codes = "".join(f'<status code="{code}"/>' for code in status.split())
        made.presence(ET.fromstring(
            f'<presence xmlns="jabber:client" from="r@rooms.test{nick}" {f"type={kind!r}" if kind else ""}>'
            f'<x xmlns="http://jabber.org/protocol/muc#user"><item jid="{jid}"/>{codes}</x></presence>'
        ))  # fmt: skip

    presence("")
    presence("/al", jid="alice@a.test/pc")
    assert not room.joined.done()
    presence("/other", "110 210 201", jid=f"{ME}/phone")
    assert await room.joined is True
    assert room.me == "r@rooms.test/other"
    assert room.occupants == {"r@rooms.test/al": "alice@a.test", "r@rooms.test/other": ME}
    presence("/al", kind="unavailable")
    presence("/other", "110 307", kind="unavailable")
    await room.left
    assert room.occupants == {}
    assert [fields["codes"] for event, fields in events if event == "presence"][-1] == ["110", "307"]
    await made.close()


async def test_what_was_not_acknowledged_in_time_may_arrive_again(monkeypatch):
    made, _ = inbox()
    monkeypatch.setattr("lab.clients.inbox.ON_ITS_WAY", 0.0)
    for number in ("first", "second"):
        made.message(message(number, FULL))
    assert made.unacknowledged() == ["first", "second"]
    made.acknowledged()
    made.message(message("third", FULL))
    assert made.unacknowledged() == ["third"]
    monkeypatch.setattr("lab.clients.inbox.ON_ITS_WAY", 60.0)
    assert made.unacknowledged() == ["first", "second", "third"], "the acknowledgement may not have arrived"
    await made.close()


class Enveloped(Slow):
    """Each message has a request for a receipt in its envelope; "silent" has no text."""

    async def decrypt(self, incoming, sender):
        request = ET.Element("{urn:xmpp:receipts}request")
        return DecryptedMessage(None if incoming.id == "silent" else "hello", "ab", "blind", content=(request,))


async def test_what_is_in_an_envelope_is_told_and_handed_on_as_a_message_of_its_own():
    made, events = inbox()
    made._encryption, handed = Enveloped(None), []
    made._on_content = handed.append
    for number in ("m1", "silent"):
        made.message(message(number, FULL))
    carbon = ET.Element("{jabber:client}message", {"from": ME, "to": f"{ME}/phone"})
    sent = ET.SubElement(carbon, "{urn:xmpp:carbons:2}sent")
    ET.SubElement(sent, "{urn:xmpp:forward:0}forwarded").append(message("copy", FULL))
    made.message(carbon)
    await made.decrypted()
    told = [
        (fields["message"], fields["via"], "hello" in fields["xml"]) for event, fields in events if event == "content"
    ]
    assert told == [("m1", "live", False), ("silent", "live", False), ("copy", "carbon", False)]
    assert [one.get("id") for one in handed] == ["m1", "silent"], "nobody answers a copy"
    assert build_receipt(handed[0], "r1").find("{urn:xmpp:receipts}received").get("id") == "m1"
    assert [has_text(one) for one in handed] == [True, False], "what has no text is not acknowledged"
    await made.close()


class Named(Slow):
    async def decrypt(self, incoming, sender):
        return DecryptedMessage(sender, "ab", "blind")


async def test_who_said_something_in_a_room_is_known_from_its_archive_too():
    """The archive says so in each message: a nickname may be somebody else's by now."""
    made, events = inbox()
    made._encryption, room = Named(None), "hall@conference.a.test"
    made.rooms[room] = JoinedRoom(room, "me", None, None, {f"{room}/nick": "carol@c.test"})
    live = message("live", FULL, f"{room}/nick", "groupchat")
    archived = message("archived", FULL, f"{room}/nick", "groupchat")
    item = ET.SubElement(
        ET.SubElement(archived, "{http://jabber.org/protocol/muc#user}x"), "{http://jabber.org/protocol/muc#user}item"
    )
    item.set("jid", "alice@a.test/pc")
    made.message(live)
    made.rooms[room].occupants.clear()  # they leave before it is decrypted
    made.catch_up([Archived("q", "", room, archived)])
    await made.decrypted()
    said = {fields["message"]: fields["body"] for event, fields in events if event == "decrypted"}
    assert said == {"live": "carol@c.test", "archived": "alice@a.test"}
    await made.close()
