"""The stream without a network: two sessions that talk to each other, and what breaks the rules."""

from base64 import b64encode
from xml.etree import ElementTree as ET

import pytest

from lab.clients.xmpp.server_stream import ERRORS, SASL, Closed, Ready, Received, Send, ServerStream, StartTls
from lab.clients.xmpp.server_stream import text as xml_of

HEADER = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'"
FROM_A = f"{HEADER} from='a.test' to='b.test'>"


def talk(a: ServerStream, b: ServerStream, *, a_proves=("a.test",), b_proves=("b.test",)):
    """Let `a` open a stream to `b`; what each was told but for bytes. TLS proves the given names to the other."""
    told = {a: [], b: []}
    waiting = [(a, one) for one in a.begin()]
    while waiting:
        who, command = waiting.pop(0)
        other, proves = (b, b_proves) if who is a else (a, a_proves)
        if isinstance(command, Send):
            waiting += [(other, one) for one in other.receive(command.data)]
        else:
            told[who].append(command)
        if command == StartTls():
            waiting += [(who, one) for one in who.secured(frozenset(proves))]
    return told[a], told[b]


def pair():
    return ServerStream("a.test", remote="b.test", initiator=True), ServerStream("b.test")


def said(commands) -> str:
    return b"".join(one.data for one in commands if isinstance(one, Send)).decode()


def ends(commands) -> str:
    (reason,) = [one.reason for one in commands if isinstance(one, Closed)]
    return reason


def test_a_stream_is_secured_authenticated_and_carries_stanzas_from_its_initiator():
    a, b = pair()
    assert talk(a, b) == ([StartTls(), Ready()], [StartTls(), Ready()])
    assert a.ready and b.ready and b.remote == "a.test"
    (first, second) = b.receive(b"<message id='1'><body>x</body></message> <iq id='2'/>")
    assert (first.element.get("id"), second.element.get("id")) == ("1", "2")
    (returned,) = a.receive(b"<message type='error' id='1'/>")  # against the direction, and received all the same
    assert returned.element.get("id") == "1"
    assert ends(a.receive(b"<other/>")).startswith("unsupported-stanza-type")
    assert ends(b.receive(b"</stream:stream>")) == "the other side closed it"
    assert b.receive(b"more") == []


def test_stanzas_come_in_whatever_pieces():
    a, b = pair()
    talk(a, b)
    heard = [one for byte in b"<message id='1'><body>\xc3\xa9</body></message>" for one in b.receive(bytes([byte]))]
    assert [xml_of(one.element) for one in heard] == ['<message id="1"><body>é</body></message>']


def test_who_proves_another_name_is_offered_nothing():
    told, _ = talk(*pair(), a_proves=("c.test",))
    assert ends(told) == "it offers no EXTERNAL but nothing"


def test_a_subdomain_of_the_certificate_may_be_asked_for_and_a_strange_name_may_not():
    for wanted, good in (("rooms.a.test", True), ("c.test", False), ("", True)):
        b = ServerStream("b.test")
        b.receive(FROM_A.encode())
        b.receive(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        b.secured(frozenset(("a.test", "rooms.a.test")))
        b.receive(FROM_A.encode())
        identity = b64encode(wanted.encode()).decode() or "="
        answer = b.receive(f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>{identity}</auth>".encode())
        assert ("<success" in said(answer)) == good, wanted
        assert b.remote == (wanted if good and wanted else "a.test")


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (FROM_A + "<message/>", "not-authorized"),
        (FROM_A + f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>=</auth>", "not-authorized"),
        (FROM_A + "<message></iq>", "not-well-formed"),
        ("<html>", "bad-format"),
        (f"{HEADER} from='a.test' to='c.test'>", "host-unknown"),
    ],
)
def test_what_breaks_the_rules_ends_the_stream(data, condition):
    b = ServerStream("b.test")
    commands = b.receive(data.encode())
    assert f"<{condition} " in said(commands)
    assert said(commands).endswith("</stream:stream>")
    assert ends(commands).startswith(condition)
    assert not b.ready


def test_a_server_without_tls_or_with_an_error_is_told():
    for data, reason in (
        (f"{HEADER}><stream:features/>", "it offers no TLS"),
        (
            f"{HEADER}><stream:error><host-gone xmlns='{ERRORS}'/></stream:error>",
            "stream error host-gone",
        ),
    ):
        a, _ = pair()
        assert ends(a.receive(data.encode())) == reason


def test_xml_keeps_its_meaning():
    source = (
        "<message xmlns='jabber:server' xml:lang='de' to='&lt;&quot;'><body>a &amp; b</body>"
        "<x xmlns='urn:x' xmlns:y='urn:y' y:z='1'><y:inner/>tail</x></message>"
    )
    element = ET.fromstring(source)
    text = xml_of(element)
    assert text.startswith('<message xml:lang="de" ')
    again = ET.fromstring(f"<s xmlns='jabber:server'>{text}</s>")[0]
    assert ET.canonicalize(ET.tostring(again), rewrite_prefixes=True) == ET.canonicalize(
        ET.tostring(element), rewrite_prefixes=True
    )


def test_nothing_is_heard_before_authentication():
    b = ServerStream("b.test")
    assert not [one for one in b.receive(f"{FROM_A}<message/>".encode()) if isinstance(one, Received | Ready)]
