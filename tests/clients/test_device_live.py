"""Devices against real servers: logging in, delivery in each way it can come, rooms, archives."""

import asyncio
import time

import pytest

from lab.clients.remote import Agent
from lab.errors import PeerError, TimedOut, UserError
from lab.network.authority import Authority
from tests.clients.cast import inline

pytestmark = pytest.mark.live


async def test_a_hundred_log_in_at_once(running_lab):
    """What a login costs is measured in benchmarks/logins.py."""
    accounts = await running_lab.accounts(*["a"] * 100)
    async with inline(running_lab) as cast:
        told = await asyncio.gather(*(cast.connect(f"d{number}", jid) for number, jid in enumerate(accounts)))
        assert len({one["stream"] for one in told}) == len(accounts)


@pytest.mark.parametrize(("here", "there"), [("a", "b"), ("a", "c"), ("c", "a")])
async def test_a_message_goes_across_and_a_stranger_bounces(running_lab, here, there):
    alice, bob = await running_lab.accounts(here, there)
    async with inline(running_lab) as cast:
        one, two = await cast.connect("pc", alice), await cast.connect("phone", bob)
        assert one["stream"] != two["stream"]
        await cast.send("pc", bob, "hello", "m1")
        got = await cast.hears("delivered", "phone", message="m1")
        assert (got["from"], got["body"], got["via"], got["room"]) == (one["jid"], "hello", "live", None)
        assert (got["stream"], got["encrypted"]) == (two["stream"], None)
        await cast.send("pc", f"nobody@{running_lab.domain(there)}", "hello", "m2")
        bounce = await cast.hears("bounced", "pc", message="m2")
        assert (bounce["condition"], bounce["type"]) == ("service-unavailable", "cancel")
        assert (await cast.ask("ping", "pc", to=running_lab.domain(there)))["seconds"] < 5
        assert not cast.said("trouble")


async def test_what_stops_a_login_is_said(running_lab):
    (alice,) = await running_lab.accounts("a")
    async with inline(running_lab) as cast:
        with pytest.raises(PeerError, match="login refused: not-authorized"):
            await cast.connect("pc", alice, password="wrong")
        with pytest.raises(PeerError, match="no connection is accepted"):
            await cast.connect("pc", alice, port=1)
        with pytest.raises(PeerError, match="certificate"):
            await cast.connect("pc", alice, authority=Authority.generate("another").pem.decode())
        with pytest.raises(UserError, match="authority: not a certificate"):
            await cast.connect("pc", alice, authority="none")
        with pytest.raises(UserError, match="use one of omemo, "):
            await cast.connect("pc", alice, encryption="rot13")
        await cast.connect("pc", alice)
        with pytest.raises(UserError, match="connected already"):
            await cast.connect("pc", alice)


async def test_a_server_that_says_nothing_is_a_timeout_with_the_step(running_lab):
    (alice,) = await running_lab.accounts("a")
    writers = []
    silent = await asyncio.start_server(lambda reader, writer: writers.append(writer), "127.0.0.1", 0)
    async with inline(running_lab) as cast:
        port = silent.sockets[0].getsockname()[1]
        for timeout in (0.3, 3, 30):  # on a busy machine a short one is over before the connection is open
            with pytest.raises(TimedOut) as caught:
                await cast.connect("pc", alice, host="127.0.0.1", port=port, timeout=timeout)
            if "opening the connection" not in caught.value.evidence[0]:
                break
        assert "waiting for TLS" in caught.value.evidence[0]
    for writer in writers:
        writer.close()
    silent.close()


@pytest.mark.parametrize("there", ["b", "c"])
async def test_offline_messages_are_there_once_connect_returns(running_lab, there):
    alice, bob = await running_lab.accounts("a", there)
    async with inline(running_lab) as cast:
        await cast.connect("pc", alice)
        await cast.connect("phone", bob)
        await cast.ask("disconnect", "phone")
        assert cast.said("disconnected", "phone")
        for number in range(40):
            await cast.send("pc", bob, "later", f"m{number}")
        await cast.ask("ping", "pc", to=running_lab.domain(there))
        await cast.connect("phone", bob)
        got = [(event["message"], event["via"]) for event in cast.said("delivered", "phone")]
        assert got == [(f"m{number}", "offline") for number in range(40)]


@pytest.mark.parametrize("here", ["a", "c"])
async def test_carbons_reach_the_other_devices_of_both(running_lab, here):
    alice, bob = await running_lab.accounts(here, "b")
    async with inline(running_lab) as cast:
        for device, jid in (("pc", alice), ("tablet", alice), ("phone", bob), ("watch", bob)):
            await cast.connect(device, jid)
        await cast.send("pc", f"{bob}/phone", "hello", "m1")
        assert (await cast.hears("delivered", "phone", message="m1"))["via"] == "live"
        for device in ("tablet", "watch"):
            copy = await cast.hears("delivered", device, message="m1")
            assert (copy["via"], copy["from"], copy["body"]) == ("carbon", f"{alice}/pc", "hello")
        assert not cast.said("delivered", "pc")


async def test_a_forged_carbon_is_trouble_and_no_delivery(running_lab):
    alice, bob = await running_lab.accounts("a", "b")
    forged = (
        f"<message to='{bob}' type='chat' id='f1'><sent xmlns='urn:xmpp:carbons:2'>"
        "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='boss@b.test' id='f2'>"
        "<body>pay</body></message></forwarded></sent></message>"
    )
    async with inline(running_lab) as cast:
        await cast.connect("pc", alice)
        await cast.connect("phone", bob)
        await cast.ask("send_raw", "pc", xml=forged)
        await cast.hears("trouble", "phone")
        assert not cast.said("delivered", "phone")


@pytest.mark.parametrize("there", ["b", "c"])
async def test_the_archive_gives_all_pages_and_delivers_what_was_missed(running_lab, there):
    alice, bob = await running_lab.accounts("a", there)
    async with inline(running_lab) as cast:
        await cast.connect("pc", alice)
        await cast.connect("phone", bob)
        for number in range(130):
            await cast.send("pc", bob, f"body {number}", f"m{number}")
        await cast.hears("delivered", "phone", message="m129")
        found = (await cast.ask("archive", "phone"))["messages"]
        assert [(each["id"], each["body"]) for each in found] == [(f"m{n}", f"body {n}") for n in range(130)]
        assert all(abs(each["at"] - time.time()) < 60 for each in found)
        await cast.connect("new", bob)
        await cast.ask("archive", "new", **{"with": alice, "deliver": True})
        assert [event["message"] for event in cast.said("delivered", "new")] == [f"m{n}" for n in range(130)]
        await cast.ask("archive", "phone", deliver=True)
        assert not cast.said("delivered", "phone", via="archive")


@pytest.mark.parametrize("host", ["b", "c"])
async def test_a_room_on_another_server(running_lab, host):
    people = await running_lab.accounts(host, "a", "b")  # ejabberd lets only its own people make rooms
    room = f"square-{host}@conference.{running_lab.domain(host)}"
    async with inline(running_lab) as cast:
        for number, jid in enumerate(people):
            await cast.connect(f"d{number}", jid)
            joined = await cast.ask("join", f"d{number}", room=room, nick=f"n{number}")
            assert joined["occupants"] == [f"{room}/n{each}" for each in range(number + 1)]
        await cast.send("d2", room, "to all", "g1", room=True)
        for number in range(3):
            got = await cast.hears("delivered", f"d{number}", message="g1")
            assert (got["room"], got["from"], got["via"], got["body"]) == (room, f"{room}/n2", "live", "to all")
        await cast.ask("configure_room", "d0", room=room, values={"muc#roomconfig_roomname": "Square"})
        await cast.ask("leave", "d1", room=room, nick="n1")
        await cast.hears("presence", "d0", **{"from": f"{room}/n1", "type": "unavailable"})
        assert (await cast.ask("occupants", "d0", room=room))["occupants"] == [f"{room}/n0", f"{room}/n2"]
        history = await cast.ask("archive", "d0", archive=room)
        assert [(each["id"], each["body"]) for each in history["messages"] if each["body"]] == [("g1", "to all")]
        with pytest.raises(UserError, match="join it first"):
            await cast.ask("occupants", "d1", room=room)


async def test_a_taken_nick_is_an_error_that_names_the_condition(running_lab):
    people = await running_lab.accounts("a", "b")
    room = f"taken@conference.{running_lab.domain('a')}"
    async with inline(running_lab) as cast:
        for number, jid in enumerate(people):
            await cast.connect(f"d{number}", jid)
        await cast.ask("join", "d0", room=room, nick="same")
        with pytest.raises(PeerError, match="conflict"):
            await cast.ask("join", "d1", room=room, nick="same")


async def test_raw_stanzas_and_iqs(running_lab):
    alice, bob = await running_lab.accounts("a", "b")
    async with inline(running_lab) as cast:
        await cast.connect("pc", alice)
        await cast.connect("phone", bob)
        await cast.ask("send_raw", "pc", xml=f"<message to='{bob}' id='r1'><body>a &amp; b</body></message>")
        assert (await cast.hears("delivered", "phone", message="r1"))["body"] == "a & b"
        answer = await cast.ask("iq", "pc", xml=f"<iq type='get' to='{bob}/phone'><ping xmlns='urn:xmpp:ping'/></iq>")
        assert 'type="result"' in answer["xml"]
        answer = await cast.ask("iq", "pc", xml=f"<iq type='get' to='{bob}/phone'><what xmlns='urn:unknown'/></iq>")
        assert 'type="error"' in answer["xml"]
        with pytest.raises(UserError, match="of type get or set"):
            await cast.ask("iq", "pc", xml="<presence/>")
        # What the client library would refuse is sent as it is, and in its place between the others.
        await cast.ask(
            "send_raw", "pc", xml=f"<message to='{bob}/\N{HORSE}' type='chat' id='r2'><body>x</body></message>"
        )
        assert (await cast.hears("delivered", "phone", message="r2"))["body"] == "x"
        await cast.ask("send_raw", "pc", xml="<message></presence>")
        assert "stream error" in (await cast.hears("disconnected", "pc"))["reason"]
        with pytest.raises(UserError, match="not connected"):
            await cast.send("pc", bob, "x", "m9")
        await cast.connect("pc", alice)


async def test_an_agent_process_serves_many_devices(running_lab):
    accounts = await running_lab.accounts("a", "b", "a", "b")
    pipes = await running_lab.lab.start_agent()
    from tests.clients.cast import Cast

    cast = Cast(Agent(pipes.reader, pipes.writer, close=pipes.close), running_lab)
    try:
        await asyncio.gather(*(cast.connect(f"d{number}", jid) for number, jid in enumerate(accounts)))
        await asyncio.gather(*(cast.send("d0", accounts[1], "x" * 100_000, f"m{number}") for number in range(10)))
        for number in range(10):
            assert len((await cast.hears("delivered", "d1", message=f"m{number}"))["body"]) == 100_000
        order = [event["message"] for event in cast.said("delivered", "d1")]
        assert order == [f"m{number}" for number in range(10)]
    finally:
        await cast.agent.close()


@pytest.mark.parametrize("where", ["a", "c"])
async def test_a_device_that_is_not_available_gets_what_was_kept_once_it_is(running_lab, where):
    alice, bob = await running_lab.accounts("a", where)
    async with inline(running_lab) as cast:
        await cast.connect("pc", alice)
        await cast.connect("phone", bob)
        await cast.ask("presence", "phone", show="unavailable")
        await cast.send("pc", bob, "hello", "kept")
        await cast.ask("ping", "pc", to=running_lab.domain(where))  # the message is with bob's server by now
        assert not [one for one in cast.said("delivered") if one["device"] == "phone"]
        await cast.ask("presence", "phone", show="away", priority=3)
        got = [one for one in cast.said("delivered") if one["device"] == "phone"]
        assert [(one["message"], one["via"]) for one in got] == [("kept", "offline")]
        states = [(one["available"], one["priority"], one["show"]) for one in cast.said("presence-sent")]
        assert states == [(False, 0, ""), (True, 3, "away")]
