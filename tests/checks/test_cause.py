"""The likely cause of a loss: what the history shows comes before "lost on the link"."""

from dataclasses import replace

import pytest

from lab.checks import CHECKS, expectations, judge
from lab.history.events import (
    Bounced,
    Delivered,
    Disconnected,
    DnsAnswered,
    FaultApplied,
    FaultHealed,
    ServerEnded,
    ServerLogged,
    ServerSaw,
    ServerStreamClosed,
)
from lab.metrics.record import RunRecord
from tests.checks.changed_history import judged, only, two

HOPS = (("home", "out", "c2s"), ("home", "in", "s2s"), ("island", "out", "s2s"), ("island", "in", "c2s"))


def lost_after(hops, *happened):
    """A message that lacks its last `hops`; events (kind, values) happened while it was on its way."""
    told, alice, bob = two()
    told.say(alice, bob)
    for kind, values in happened:
        told.add(kind, **values)
    told.finish()
    told.drop(Delivered, message="m1")
    for server, direction, stream in HOPS[:hops]:
        told.drop(ServerSaw, id="m1", server=server, direction=direction, stream=stream)
    return told


def cause(hops, *happened):
    return only(judged(lost_after(hops, *happened))).cause


def closed(server, stream, peer, **values):
    return ServerStreamClosed, {
        "server": server, "stream": stream, "direction": "out" if stream == "s2s" else "in", "peer": peer, "id": "7",
        "tls": "TLSv1.3", "authentication": "EXTERNAL", **values,
    }  # fmt: skip


def answered(rcode="NXDOMAIN", asker="island", name="_xmpp-server._tcp.home.test", **values):
    return DnsAnswered, {"asker": asker, "name": name, "type": "SRV", "rcode": rcode, **values}


def logged(server, text, level="warning"):
    return ServerLogged, {"server": server, "level": level, "text": text}


def cut_off(server):
    return FaultApplied, {
        "number": 1, "fault": "partition", "began": 1000.0, "servers": (server,), "fields": (("groups", server),),
    }  # fmt: skip


ALICE, BOB = "alice@island.test/phone", "bob@home.test/phone"
OTHER = "carol@public.test/phone"

CASES = {
    "the senders stream": (
        4, [closed("island", "c2s", ALICE, condition="policy-violation", by="server", text="too big")],
        "island closed its sender's stream with policy-violation (too big) 0.1 s after it was sent",
    ),
    "closed by its client": (
        4, [closed("island", "c2s", ALICE, condition="not-well-formed", by="peer")],
        "its sender's stream to island: its client closed it with not-well-formed 0.1 s after it was sent",
    ),
    "the device alone knows": (
        4, [(Disconnected, {"device": ALICE, "stream": f"stream-{ALICE}", "reason": "reset"})],
        "its sender's stream ended 0.1 s after it was sent: reset",
    ),
    "a stream error between servers": (
        2, [closed("island", "s2s", "home.test", condition="host-gone", by="peer", text="host-gone")],
        "home closed the stream with island with host-gone 0.1 s after it was sent",
    ),
    "said by the other server": (
        2, [closed("home", "s2s", "island.test", condition="not-authorized", by="server", direction="in")],
        "home closed the stream with island with not-authorized 0.1 s after it was sent",
    ),
    "a stream that could not be opened": (
        3, [closed("island", "s2s", "home.test", authentication="", text="TLS failed: certificate expired")],
        "the stream of island to home could not be opened: TLS failed: certificate expired, 0.1 s after it was sent",
    ),
    "a stream that broke": (
        2, [closed("island", "s2s", "home.test", text="connection reset")],
        "the stream of island to home ended: connection reset, 0.1 s after it was sent",
    ),
    "a server that was down": (2, [(ServerEnded, {"server": "home"})], "home was down"),
    "no such name": (
        3, [answered()],
        "the name server answered island's question for _xmpp-server._tcp.home.test (SRV) with NXDOMAIN",
    ),
    "a name without a record": (
        3, [answered("NOERROR")],
        "the name server answered island's question for _xmpp-server._tcp.home.test (SRV) with no record",
    ),
    "the receivers stream": (
        0, [closed("home", "c2s", BOB, condition="conflict", by="server", text="Replaced")],
        f"home closed the stream of {BOB} with conflict (Replaced) 0.1 s after it was sent",
    ),
    "a log that names the other server": (
        2, [logged("island", "s2s to home.test: certificate expired")],
        "island logged: s2s to home.test: certificate expired",
    ),
    "an error in a log": (1, [logged("home", "Traceback: boom", "error")], "home logged: Traceback: boom"),
    "a fault on the way": (
        2, [cut_off("home")],
        "lost on the link island - home, while the fault partition was active",
    ),
    "a fault and what it did": (
        2, [
            cut_off("home"),
            closed("island", "s2s", "home.test", text="connection reset"),
        ],
        "the stream of island to home ended: connection reset, 0.1 s after it was sent, while the fault partition was "
        "active",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_cause_that_the_history_shows(name):
    hops, happened, expected = CASES[name]
    assert cause(hops, *happened) == expected


def passed():
    """Another stanza of island arrives at home."""
    return ServerSaw, {
        "server": "home", "stream": "s2s", "direction": "in", "name": "iq", "type": "get", "id": "ping",
        "sender": ALICE, "receiver": "home.test", "size": 100, "encryption": None, "body": False, "stanza": None,
    }  # fmt: skip


@pytest.mark.parametrize(("others", "named"), [((), True), ((passed(),), False)])
def test_a_fault_is_named_unless_another_stanza_had_passed_before(others, named):
    told = lost_after(2, closed("island", "s2s", "home.test", text="connection reset"), *others)
    broken = next(one.at for one in told.events if isinstance(one, ServerStreamClosed))
    kind, values = cut_off("home")
    told.add(kind, **{**values, "began": broken + 0.015})  # before the marker passes
    assert ("while the fault partition" in only(judged(told)).cause) is named


NOTHING_TO_DO_WITH_IT = {
    "another persons stream": closed("island", "c2s", OTHER, condition="conflict", by="server"),
    "a stream with another server": closed("home", "s2s", "public.test", condition="host-gone", by="peer"),
    "an end without an error": closed("island", "s2s", "home.test"),
    "a name that exists": answered("NOERROR", records=(("SRV", "0 0 5269 127.0.0.1."),)),
    "a question that lab servers ask in vain": answered(name="_xmpps-server._tcp.home.test"),
    "a question of another server": answered(asker="public"),
    "a warning about something else": logged("island", "the clock is slow"),
    "an error of another server": logged("public", "boom", "error"),
    "a fault elsewhere": (
        FaultApplied,
        {"number": 1, "fault": "partition", "began": 1000.0, "servers": ("public",), "fields": (("groups", "public"),)},
    ),
    "a stream that ended before": closed("island", "s2s", "home.test", condition="host-gone", by="peer", at=999.0),
}


@pytest.mark.parametrize("name", sorted(NOTHING_TO_DO_WITH_IT))
def test_what_has_nothing_to_do_with_it_is_no_cause(name):
    assert cause(2, NOTHING_TO_DO_WITH_IT[name]) == "lost on the link island - home"


@pytest.mark.parametrize(("encryption", "dropped"), [("omemo", True), ("plain", False)])
def test_a_server_that_drops_what_is_encrypted_is_the_cause(encryption, dropped):
    told, alice, bob = two()
    strict = replace(told.plan.topology.server("home"), features=("-encrypted-messages",))
    servers = tuple(strict if one.name == "home" else one for one in told.plan.topology.servers)
    told.plan = replace(told.plan, topology=replace(told.plan.topology, servers=servers))
    told.say(alice, bob, encryption=encryption)
    told.finish()
    told.drop(Delivered, message="m1")
    told.drop(ServerSaw, id="m1", server="home", direction="out", stream="c2s")
    usual = "home received it and sent it to no device"
    said = "home drops encrypted messages (`features: [-encrypted-messages]`)" if dropped else usual
    assert only(judged(told)).cause == said


def test_a_fault_that_was_healed_before_is_no_cause():
    told, alice, bob = two()
    kind, values = cut_off("home")
    told.add(kind, **values)
    told.add(FaultHealed, number=1, fault="partition", began=told.time)
    told.time += 5
    told.say(alice, bob)
    told.finish()
    told.drop(Delivered, message="m1")
    told.drop(ServerSaw, id="m1", server="home")
    assert only(judged(told)).cause == "lost on the link island - home"


def test_a_message_that_reached_the_receivers_server_is_not_lost_between_servers():
    broken = closed("island", "s2s", "home.test", condition="host-gone", by="peer")
    assert cause(1, broken) == "home received it and sent it to no device"


def test_a_bounce_on_the_same_route_is_a_cause():
    told, alice, bob = two()
    told.say(alice, bob)
    told.say(alice, bob)
    told.add(Bounced, message="m2", device=alice, condition="remote-server-timeout", by="bob@home.test", text="no TLS")
    told.finish()
    told.drop(Delivered)
    told.drop(ServerSaw, id="m1", server="home")
    assert only(judged(told)).cause == (
        "bob@home.test bounced another message on this route with remote-server-timeout (no TLS)"
    )


def test_a_refusal_on_a_link_says_why_the_stream_could_not_be_opened():
    told = lost_after(3, closed("island", "s2s", "home.test", authentication="", text="TLS failed: expired"))
    told.add(Bounced, message="m1", device=ALICE, condition="remote-server-timeout", by="bob@home.test")
    verdict = CHECKS["reachability"](RunRecord(tuple(told.events), told.plan))
    assert "could not be opened: TLS failed: expired" in only(verdict).cause


def test_an_expectation_about_a_bounced_message_quotes_the_bounce():
    told = lost_after(3)
    told.add(
        Bounced, message="m1", device=ALICE, condition="service-unavailable", by="bob@home.test", text="nobody there"
    )
    told.expect(held=False, message="m1")
    verdict = expectations.check(RunRecord(tuple(told.events), told.plan))
    assert only(verdict).cause == "bob@home.test bounced it with service-unavailable (nobody there)"


def test_a_scenario_that_broke_off_at_a_closed_stream_quotes_the_stream_error():
    told, alice, _ = two()
    kind, values = closed("island", "c2s", alice, condition="conflict", by="server")
    told.add(kind, **values)
    told.finish("lab-error", f"story.py:7: {alice}: the stream is gone")
    sentence = judge(RunRecord(tuple(told.events), told.plan)).sentence
    assert sentence.endswith(f"the stream is gone. Likely cause: island closed the stream of {alice} with conflict.")
