import base64
from dataclasses import replace

import pytest

from lab.checks import Value
from lab.checks.secrecy import check
from lab.history.events import CanaryFound, Delivered, FileUploaded, Intervened, Searched, Sent, ServerSaw
from lab.history.key_events import LinkSearched
from lab.metrics.record import RunRecord
from lab.topology.spec import Feed, Server, Tls
from tests.checks.sample_history import SampleHistory, plan

CANARY = "canary-6f1d2c3b4a5968778695a4b3"


def judged(told):
    return check(RunRecord(tuple(told.events), told.plan))


def only(verdict, value=Value.FAILED):
    assert verdict.value is value, verdict
    assert len(verdict.findings) == 1, verdict.findings
    return verdict.findings[0]


def secret(encryption="omemo", the_plan=None):
    told = SampleHistory(the_plan)
    alice, bob = told.device("alice", "island", encryption="omemo"), told.device("bob", "home", encryption="omemo")
    told.say(alice, bob, encryption=encryption, canary=CANARY)
    return told


def test_a_canary_that_nobody_can_read_is_valid():
    verdict = judged(secret().finish())
    assert (verdict.value, verdict.judged) == (Value.VALID, 1)
    assert verdict.sentence == "1 canary sent, and no server can read it."


def test_without_a_canary_nothing_is_judged():
    told = SampleHistory()
    told.say(told.device("alice", "island"), told.device("bob", "home"))
    verdict = judged(told.finish())
    assert (verdict.value, verdict.judged) == (Value.UNKNOWN, 0)


def test_plain_text_is_seen_by_every_server_on_the_way():
    verdict = judged(secret("plain").finish())
    assert verdict.value is Value.FAILED
    assert [finding.sentence.split(" can ")[0] for finding in verdict.findings] == ["Server island", "Server home"]
    assert verdict.findings[0].message == "m1"
    assert verdict.findings[0].cause == "the message was sent without end-to-end encryption"
    assert CANARY in verdict.findings[0].stanzas[0]


@pytest.mark.parametrize(
    "code",
    [bytes, lambda text: base64.b64encode(b"x" + text), lambda text: text.hex().encode()],
    ids=["raw", "base64", "hex"],
)
def test_plain_text_beside_the_ciphertext_is_found_in_any_coding(code):
    told = secret().finish()
    place = told.index(ServerSaw, id="m1", server="home", direction="in")
    beside = f"<message><encrypted/><body>{code(CANARY.encode()).decode()}</body></message>"
    told.events[place] = replace(told.events[place], stanza=beside)
    finding = only(judged(told))
    assert (finding.message, finding.servers) == ("m1", ("island", "home"))
    assert "Server home can read the secret of message m1" in finding.sentence
    assert finding.cause == "the plain text was sent beside the ciphertext"
    assert finding.stanzas == (f"home in s2s: {beside}",)


@pytest.mark.parametrize(("inside", "value"), [(bytes(range(256)), Value.VALID), (CANARY.encode(), Value.FAILED)])
def test_the_ciphertext_of_otr_is_no_plain_text_and_a_secret_in_its_place_is_found(inside, value):
    """Both are base64 in a body that begins as OTR's do: what stands in it decides."""
    told = secret("otr").finish()
    body = f"<message><body>?OTR:AAMD{base64.b64encode(b'xx' + inside).decode()}.</body></message>"
    for place, event in enumerate(told.events):
        if isinstance(event, ServerSaw) and event.id == "m1":
            told.events[place] = replace(event, stanza=body, encryption="urn:xmpp:otr:0", body=False)
    assert judged(told).value is value


@pytest.mark.parametrize("place", ["store", "archive", "log"])
def test_a_canary_in_a_place_is_found(place):
    told = secret().finish()
    told.add(CanaryFound, server="home", place=place, canary=CANARY, encoding="hex", where="data/x.list", message="m1")
    assert (
        f"home can read the secret of message m1 (island - home): {place} (hex, data/x.list)"
        in only(judged(told)).sentence
    )


def test_a_canary_that_no_message_carried_and_yet_got_out_is_found():
    told = SampleHistory().finish()
    told.add(CanaryFound, server="home", place="log", canary=CANARY, encoding="raw", where="server.log")
    assert only(judged(told)).value is Value.FAILED


def test_an_encrypted_message_with_a_readable_body_fails_even_in_a_meta_feed():
    told = secret().finish()
    place = told.index(ServerSaw, id="m1", server="island", direction="in")
    told.events[place] = replace(told.events[place], stanza=None, encryption=None, body=True)
    assert "island saw a readable body" in only(judged(told)).sentence


@pytest.mark.parametrize(
    ("source", "target", "value"),
    [
        ("alice@island.test/phone", "island", Value.VALID),
        ("home", "bob@home.test/phone", Value.FAILED),
    ],
)
def test_what_a_senders_own_server_left_of_a_message_does_not_count(source, target, value):
    told = secret().finish()
    for place, event in enumerate(told.events):
        if isinstance(event, ServerSaw) and event.id == "m1":
            told.events[place] = replace(event, stanza=None, encryption=None, body=True)
    told.add(
        Intervened, attack="strip-encryption", action="remove", source=source, target=target, name="message", id="m1",
        sender="alice@island.test/phone", receiver="bob@home.test",
    )  # fmt: skip
    values = [one.value for one in judged(told).findings if "readable body" in one.sentence]
    assert (values or [Value.VALID]) == [value]


@pytest.mark.parametrize("feed", [Feed.META, Feed.OFF])
def test_a_server_that_does_not_tell_whole_stanzas_leaves_it_unknown(feed):
    servers = (Server("island", "island.test", "prosody", ""), Server("home", "home.test", "prosody", "", feed=feed))
    told = secret(the_plan=plan(servers, links=(("island", "home"),)))
    told.finish()
    for place, event in enumerate(told.events):
        if type(event) is ServerSaw and event.server == "home":
            told.events[place] = replace(event, stanza=None)
    sentence = only(judged(told), Value.UNKNOWN).sentence
    assert sentence.startswith(f"Whether server home can read secrets is not known: its feed is '{feed}'")


def test_a_server_the_lab_cannot_look_into_leaves_it_unknown():
    servers = (Server("island", "island.test", "prosody", ""), Server("home", "home.test", "external", ""))
    told = secret(the_plan=plan(servers, links=(("island", "home"),)))
    assert "cannot read the files of external" in only(judged(told.finish()), Value.UNKNOWN).sentence


def test_no_search_at_all_is_unknown():
    verdict = judged(secret().finish(search=False))
    assert verdict.value is Value.UNKNOWN
    assert "was not searched after the last secret was sent" in verdict.sentence


def test_a_search_before_the_secret_was_sent_does_not_count():
    told = secret().finish()
    found = told.index(Searched, server="home", place="archive")
    told.events.insert(0, told.events.pop(found))
    assert "its archive was not searched after" in only(judged(told), Value.UNKNOWN).sentence


def test_a_search_that_misses_what_must_be_there_is_unknown():
    told = secret().finish()
    found = told.index(Searched, server="home", place="archive")
    told.events[found] = replace(told.events[found], control=False)
    assert "what must stand there was not found either" in only(judged(told), Value.UNKNOWN).sentence


def test_a_feed_without_a_file_is_unknown():
    told = secret().finish()
    found = told.index(Searched, server="island", place="feed")
    told.events[found] = replace(told.events[found], files=0)
    assert "it has written no feed" in only(judged(told), Value.UNKNOWN).sentence


def test_a_leak_outranks_what_is_not_known():
    told = secret().finish(search=False)
    told.add(CanaryFound, server="home", place="log", canary=CANARY, encoding="raw", where="server.log", message="m1")
    assert judged(told).value is Value.FAILED


KEY = "0f" * 32
FILE = "https://upload.island.test/x.txt"


def uploaded(encrypted=True, control=True):
    """Alice uploads a file with a secret in it; the key is in her message."""
    told = SampleHistory()
    alice, bob = told.device("alice", "island", encryption="omemo"), told.device("bob", "home", encryption="omemo")
    canaries = (CANARY, KEY) if encrypted else (CANARY,)
    told.add(FileUploaded, device=alice, url=FILE, size=2, sha256="aa", stored="cc", encrypted=encrypted,
             canaries=canaries)  # fmt: skip
    told.say(alice, bob, encryption="omemo", canary=KEY if encrypted else None)
    told.finish()
    told.add(Searched, server="island", place="uploads", files=1, bytes=2, canaries=2, control=control)
    return told


def found(told, server, place, canary):
    told.add(CanaryFound, server=server, place=place, canary=canary, encoding="raw", where=place)
    return only(judged(told))


def test_an_encrypted_file_that_nobody_can_read_is_valid():
    verdict = judged(uploaded())
    assert (verdict.value, verdict.judged) == (Value.VALID, 2)


def test_a_file_that_its_host_can_read_fails():
    finding = found(uploaded(encrypted=False), "island", "uploads", CANARY)
    assert finding.sentence == f"Server island can read the secret of file {FILE}: uploads (raw, uploads)."
    assert (finding.cause, finding.servers) == ("the file was uploaded without encryption", ("island",))
    assert found(uploaded(), "island", "uploads", CANARY).cause == "its key got out"


def test_a_key_in_a_log_fails_and_names_the_message_that_carried_it():
    finding = found(uploaded(), "island", "log", KEY)
    assert (finding.message, finding.cause) == (
        "m1",
        "the text was readable although the message was sent with omemo",
    )


def test_uploads_that_were_not_searched_or_where_the_file_was_not_found_are_unknown():
    assert "uploads was searched, and what must stand there was not found" in (
        only(judged(uploaded(control=False)), Value.UNKNOWN).sentence
    )
    told = uploaded()
    told.drop(Searched, place="uploads")
    assert "its uploads was not searched" in only(judged(told), Value.UNKNOWN).sentence


def on_the_link(control=False, tls=Tls.REQUIRED, **values):
    """A secret went from island to home; what passed their link was searched."""
    servers = tuple(replace(one, tls=tls) if one.name == "home" else one for one in plan().topology.servers)
    told = secret(the_plan=plan(servers)).finish()
    told.add(
        LinkSearched,
        **{"source": "island", "target": "home", "bytes": 900, "canaries": 1, "control": control, **values},
    )
    return told


def test_a_link_with_tls_on_which_bytes_passed_is_valid():
    assert judged(on_the_link()).value is Value.VALID
    assert judged(on_the_link(tls=Tls.OFF, control=True)).value is Value.VALID


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"bytes": 0}, "nothing was seen to pass"),
        ({"complete": False}, "more passed than was searched"),
        ({"tls": Tls.OFF}, "it has no TLS, and the text that must stand there was not found either"),
    ],
)
def test_a_wire_that_shows_nothing_may_not_have_been_searched(values, why):
    finding = only(judged(on_the_link(**values)), Value.UNKNOWN)
    assert finding.sentence == f"Whether the link home - island showed secrets is not known: {why}."


def test_a_secret_on_the_wire_fails_and_names_link_and_message():
    told = on_the_link()
    told.add(CanaryFound, server="island", place="link", canary=CANARY, encoding="base64", where="island - home")
    finding = only(judged(told))
    assert finding.sentence == (
        "Whoever sees the link island - home can read the secret of message m1: on the wire (base64)."
    )
    assert (finding.message, finding.servers) == ("m1", ("island", "home"))
    assert finding.cause == "the text was readable on the wire"


def test_in_a_room_the_servers_of_its_occupants_count_as_well():
    """Alice's server and the room's handle what she says; so does that of who hears it."""
    told = SampleHistory()
    alice, bob = told.device("alice", "island", encryption="omemo"), told.device("bob", "public", encryption="omemo")
    room = "hall@conference.home.test"
    told.add(Sent, message="m1", sender=alice, receiver=room, stream="s", encryption="omemo", room=True, canary=CANARY,
             expected=(alice, bob))  # fmt: skip
    told.add(Delivered, message="m1", sender=f"{room}/alice", device=bob, stream="s", via="live")
    told.finish()
    assert judged(told).value is Value.VALID
    told.add(LinkSearched, source="home", target="public", bytes=0, canaries=1, control=False)
    assert "the link home - public showed" in only(judged(told), Value.UNKNOWN).sentence
    told.events.pop()
    told.drop(Searched, server="public")
    assert all("Whether server public" in one.sentence for one in judged(told).findings)
    assert judged(told).value is Value.UNKNOWN
