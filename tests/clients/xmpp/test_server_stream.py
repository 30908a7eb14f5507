"""The stream without a network: two sessions that talk to each other, and what breaks the rules."""

from base64 import b64encode
from xml.etree import ElementTree as ET

import pytest

from lab.clients.xmpp.server_stream import (
    DIALBACK,
    ERRORS,
    SASL,
    Closed,
    Dialback,
    Negotiation,
    Ready,
    Received,
    Send,
    ServerStream,
    StartTls,
    VerifyKey,
    dialback_key,
)
from lab.clients.xmpp.server_stream import format_element as xml_of

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


def calling_back(key: str = "true", tls: str = "none") -> tuple[ServerStream, ServerStream]:
    """a proves its domain to b by dialback."""
    a = Negotiation(tls=tls, authentication="dialback", key=key)
    b = Negotiation(tls=tls, authentication="dialback")
    return (
        ServerStream("a.test", remote="b.test", initiator=True, negotiation=a, secret="of a"),
        ServerStream("b.test", negotiation=b, secret="of b"),
    )


def authoritative(verifies: str = "truth") -> ServerStream:
    """A stream of b's to a, on which b asks."""
    stream = ServerStream("a.test", negotiation=Negotiation("none", "dialback", verifies=verifies), secret="of a")
    stream.receive(f"{HEADER} from='b.test' to='a.test' xmlns:db='{DIALBACK}'>".encode())
    return stream


@pytest.mark.parametrize("tls", ["none", "required"])
@pytest.mark.parametrize(("key", "answer"), [("true", "valid"), ("false", "invalid")])
def test_a_key_is_verified_by_the_domain_that_made_it(tls, key, answer):
    a, b = calling_back(key, tls)
    told_a, told_b = talk(a, b)
    asked = told_b[-1]
    assert isinstance(asked, VerifyKey) and (asked.sender, asked.id) == ("a.test", b.id)
    assert StartTls() in told_a or tls == "none"
    assert not a.ready and not b.ready
    question = ServerStream("b.test", remote="a.test", initiator=True, negotiation=Negotiation("none", "none"))
    asking = said(question.verify(asked.key, "b.test", asked.id))
    assert f'type="{answer}"' in said(authoritative().receive(asking.encode()))
    said_to_a = b.verified("a.test", answer)
    heard = a.receive(said(said_to_a).encode())
    if answer == "valid":
        assert heard == [Ready()] and Ready() in said_to_a
        assert (a.authentication, b.authentication, b.remote) == ("dialback", "dialback", "a.test")
        assert [type(one) for one in b.receive(b"<message id='1'/>")] == [Received]
    else:
        assert ends(heard) == "dialback: invalid" and ends(said_to_a) == "its key for a.test is not valid"
        assert not a.ready and not b.ready


def test_a_key_is_for_one_stream_between_two_domains():
    """The example of XEP-0185 section 5."""
    key = dialback_key("s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.org", "D60000229F")
    assert key == "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643"


def test_an_authoritative_server_may_lie_or_keep_silence():
    question = b"<db:verify from='b.test' to='a.test' id='s'>made up</db:verify>"
    for verifies, answer in (("truth", "invalid"), ("valid", "valid"), ("silence", "")):
        commands = authoritative(verifies).receive(question)
        assert isinstance(commands[0], Dialback)
        assert (f'type="{answer}"' in said(commands)) == bool(answer)
        assert bool(said(commands)) == bool(answer)


def test_answers_that_nobody_asked_for_prove_nothing():
    _, b = calling_back()
    b.receive(f"{HEADER} from='a.test' to='b.test' xmlns:db='{DIALBACK}'>".encode())
    for name in ("result", "verify"):
        (told,) = b.receive(f"<db:{name} from='a.test' to='b.test' id='1' type='valid'/>".encode())
        assert isinstance(told, Dialback)
    assert ends(b.receive(b"<message/>")).startswith("not-authorized") and not b.ready


def test_who_requires_tls_serves_no_dialback_without_it():
    b = ServerStream("b.test", negotiation=Negotiation("required", "dialback"))
    greeting = said(b.receive(f"{HEADER} from='a.test' xmlns:db='{DIALBACK}'>".encode()))
    assert "<required/>" in greeting and "features:dialback" not in greeting
    assert ends(b.receive(b"<db:result from='a.test' to='b.test'>k</db:result>")).startswith("not-authorized")


def test_headers_and_features_are_as_they_are_set():
    how = Negotiation(header={"version": None, "from": "<c.test>"}, features="<x xmlns='urn:x'/>")
    header = said(ServerStream("a.test", remote="b.test", initiator=True, negotiation=how).begin())
    assert "version" not in header.partition("<stream:stream")[2] and 'from="&lt;c.test&gt;"' in header
    greeting = said(ServerStream("b.test", negotiation=how).receive(FROM_A.encode()))
    assert greeting.endswith("<stream:features><x xmlns='urn:x'/></stream:features>")
    old = said(ServerStream("b.test").receive(FROM_A.replace(" version='1.0'", "").encode()))
    assert "features" not in old  # RFC 6120 section 4.7.5


def test_a_stream_may_stay_unauthenticated():
    how = Negotiation(tls="none", authentication="none")
    a, b = ServerStream("a.test", remote="b.test", initiator=True, negotiation=how), ServerStream("b.test")
    assert talk(a, b) == ([Ready()], [])
    assert a.ready and a.authentication == "" and "starttls" in a.features
