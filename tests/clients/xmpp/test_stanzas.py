from xml.etree import ElementTree as ET

import pytest

from lab.clients.xmpp.stanzas import (
    Archived,
    BounceStanza,
    Forgery,
    Incoming,
    OwnPresence,
    build_presence,
    read,
    read_own_presence,
)
from lab.declarations.encryptions.omemo import DECLARATION
from lab.errors import UserError

OMEMO = DECLARATION.namespace
ME, MINE = "bob@b.test", "bob@b.test/phone"
OLD = f'<encrypted xmlns="{OMEMO}"><header sid="1"/>%s</encrypted>'
DELAY = '<delay xmlns="urn:xmpp:delay" stamp="2026-01-01T00:00:00Z" from="%s"/>'


def taken(children, **attributes):
    values = {"from": "alice@a.test/pc", "to": ME, "id": "m1", "type": "chat", **attributes}
    text = " ".join(f'{name}="{value}"' for name, value in values.items() if value is not None)
    return read(ET.fromstring(f'<message xmlns="jabber:client" {text}>{children}</message>'), ME, MINE)


def carbon(kind, inner):
    return (f'<{kind} xmlns="urn:xmpp:carbons:2"><forwarded xmlns="urn:xmpp:forward:0">'
            f'<message xmlns="jabber:client" {inner}</message></forwarded></{kind}>')  # fmt: skip


@pytest.mark.parametrize(
    ("children", "via"),
    [
        ("<body>x</body>", "live"),
        ("<body>x</body>" + DELAY % "b.test", "offline"),
        ("<body>x</body>" + DELAY % ME, "offline"),
        ("<body>x</body>" + DELAY % "a.test", "live"),  # the sender's side was late, our server was not
    ],
)
def test_how_a_message_came(children, via):
    found = taken(children)
    assert isinstance(found, Incoming)
    assert (found.via, found.body, found.id, found.sender, found.room) == (via, "x", "m1", "alice@a.test/pc", None)


def test_a_room_tells_which_room_and_its_history_is_archive():
    found = taken("<body>x</body>", **{"from": "r@rooms.test/al", "type": "groupchat"})
    assert (found.room, found.via) == ("r@rooms.test", "live")
    found = taken("<body>x</body>" + DELAY % "r@rooms.test", **{"from": "r@rooms.test/al", "type": "groupchat"})
    assert found.via == "archive"


def test_encryption_is_named_by_namespace():
    assert taken("<body>x</body>").encrypted is None
    found = taken(OLD % "<payload>x</payload>" + "<body>fallback</body>")
    assert (found.encrypted, found.body, found.keys_only) == (OMEMO, "fallback", False)
    assert taken('<encrypted xmlns="urn:xmpp:omemo:2"/>').encrypted == "urn:xmpp:omemo:2"
    assert taken('<encryption xmlns="urn:xmpp:eme:0" namespace="urn:xmpp:ox:0"/>').encrypted == "urn:xmpp:ox:0"


def test_keys_without_a_message_are_no_delivery():
    assert taken(OLD % "").keys_only


@pytest.mark.parametrize(
    "children",
    ["", "<subject>x</subject>", '<received xmlns="urn:xmpp:receipts" id="m0"/>',
     '<event xmlns="http://jabber.org/protocol/pubsub#event"><items node="n"/></event>'],
)  # fmt: skip
def test_what_protocols_tell_each_other_is_no_delivery(children):
    assert taken(children) is None


def test_a_bounce_names_condition_type_text_and_sender():
    error = ('<error type="cancel"><text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas">gone</text>'
             '<item-not-found xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error><body>x</body>')  # fmt: skip
    assert taken(error, type="error") == BounceStanza("m1", "alice@a.test/pc", "item-not-found", "cancel", "gone")
    assert taken("", type="error").condition == "undefined-condition"


@pytest.mark.parametrize("outer", ["error", "chat"])
def test_a_copy_of_another_device_s_bounce_is_neither_a_bounce_nor_a_delivery(outer):
    """Prosody gives a carbon the type of what it carries."""
    returned = carbon("received", 'from="x@a.test" to="bob@b.test/pc" type="error" id="i1"><body>hello</body>')
    assert taken(returned, **{"from": ME, "type": outer, "id": None}) is None


def test_carbons_come_from_the_account_alone():
    inner = 'from="bob@b.test/pc" to="alice@a.test" id="i1"><body>x</body>'
    found = taken(carbon("sent", inner), **{"from": ME, "id": "outer"})
    assert (found.via, found.id, found.sender, found.receiver) == ("carbon", "i1", "bob@b.test/pc", "alice@a.test")
    assert taken(carbon("received", inner), **{"from": None}).via == "carbon"
    for forger in ("alice@a.test", "b.test", "bob@b.test.evil.test", "bob@b.test/pc"):
        assert isinstance(taken(carbon("sent", inner), **{"from": forger}), Forgery)


def test_an_archives_result_keeps_its_query():
    inner = 'from="alice@a.test/pc" to="bob@b.test" id="i1"><body>x</body></message>'
    result = (f'<result xmlns="urn:xmpp:mam:2" queryid="q" id="9"><forwarded xmlns="urn:xmpp:forward:0">'
              f'{DELAY % "b.test"}<message xmlns="jabber:client" {inner}</forwarded></result>')  # fmt: skip
    found = taken(result, **{"from": ME})
    assert isinstance(found, Archived)
    assert (found.query, found.at, found.xml.get("id")) == ("q", "2026-01-01T00:00:00Z", "i1")


@pytest.mark.parametrize(
    ("show", "priority", "said"),
    [
        (None, 0, OwnPresence(True)),
        ("dnd", -128, OwnPresence(True, -128, "dnd")),
        ("unavailable", 5, OwnPresence(False)),
    ],
)
def test_what_a_device_says_of_its_availability_is_read_back(show, priority, said):
    assert read_own_presence(build_presence(show, priority)) == said


@pytest.mark.parametrize(("show", "priority"), [("sleeping", 0), ("", 0), (None, 128), (None, -129)])
def test_a_presence_that_is_none_is_refused(show, priority):
    with pytest.raises(UserError, match="must be"):
        build_presence(show, priority)


@pytest.mark.parametrize(
    "xml",
    ['<presence to="room@c.test/me"/>', '<presence type="subscribe"/>', '<presence type="probe"/>', "<message/>"],
)
def test_other_stanzas_say_nothing_of_ones_availability(xml):
    assert (
        read_own_presence(ET.fromstring(xml.replace(" ", ' xmlns="jabber:client" ', 1) if " " in xml else xml)) is None
    )


def test_a_priority_that_is_no_number_is_none():
    text = '<presence xmlns="jabber:client"><priority> +7 </priority><show>away</show></presence>'
    assert read_own_presence(ET.fromstring(text)) == OwnPresence(True, 7, "away")
    assert read_own_presence(ET.fromstring(text.replace("+7", "high"))) == OwnPresence(True, 0, "away")
