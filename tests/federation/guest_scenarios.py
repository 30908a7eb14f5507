"""Scenarios with guests, whose client is a small program on slixmpp that knows its JID and password only."""

from __future__ import annotations

import sys

from lab import Federation, expect, scenario

#: Logs in, writes each line of its standard input to the JID in front of it, prints what it receives, answers "ping".
CLIENT = """
import asyncio, os, sys, slixmpp

class Client(slixmpp.ClientXMPP):
    def __init__(self):
        super().__init__(os.environ["XMPPLAB_JID"], os.environ["XMPPLAB_PASSWORD"])
        self.add_event_handler("session_start", self.begin)
        self.add_event_handler("message", lambda message: print("received", message["body"], flush=True))

    async def begin(self, _):
        self.send_presence()
        await self.get_roster()
        asyncio.get_running_loop().add_reader(0, self.read)

    def read(self):
        if not (line := sys.stdin.readline()):
            asyncio.get_running_loop().remove_reader(0)
            return
        to, _, text = line.strip().partition(" ")
        self.send_message(to, text, mtype="chat")

client = Client()
client.connect()
asyncio.get_event_loop().run_forever()
"""
PROGRAM = [sys.executable, "-c", CLIENT]


@scenario(spec="RFC 6121 5")
async def guest_and_person(federation: Federation) -> None:
    """A guest and a person on another server write to each other; the guest to a third, who has no account, too."""
    a, b = federation.linked_pair()
    guest, alice = await a.guest("guest"), await b.person("alice")
    account = {"XMPPLAB_JID": guest.jid, "XMPPLAB_PASSWORD": guest.password}
    async with federation.process(PROGRAM, environment=account) as program:
        assert (await guest.online()).startswith(f"{guest.jid}/")
        await program.write(f"{alice.jid} hello\n")
        message = await guest.sent(to=alice)
        assert message.text == "hello"
        expect(await message.outcome(), federation.link(a, b).promise)
        answer = await alice.send(guest, "good day")
        expect(await answer.outcome(), federation.link(b, a).promise)
        assert (await guest.received("good day")).body == "good day"
        await program.write(f"nobody@{b.domain} who are you?\n")
        refused = await (await guest.sent(match="who are you?")).outcome("30s")
        assert [one.condition for one in refused.bounces] == ["service-unavailable"]


@scenario(spec="RFC 6121 3")
async def guests_are_friends(federation: Federation) -> None:
    """Two are friends before the guest's client has ever logged in: each sees the presence of the other."""
    a, b = federation.linked_pair()
    guest, bob = await a.guest("guest"), await b.person("bob")
    await federation.befriend(guest, bob)
    async with federation.process(PROGRAM, environment={"XMPPLAB_JID": guest.jid, "XMPPLAB_PASSWORD": guest.password}):
        client = await guest.online()
        assert not client.endswith("/stand-in"), "the lab's own device is taken for the client"
        await bob.device.received(lambda one: one.name == "presence" and one.sender == client and one.type is None)
        await guest.received(lambda one: one.name == "presence" and (one.sender or "").startswith(f"{bob.jid}/"))
    message = await bob.send(guest, "are you there?")
    expect((await message.outcome(0)).settled, False)


@scenario(spec="RFC 6121 5")
async def absent_guest(federation: Federation) -> None:
    """Somebody waits for a guest whose client never logs in."""
    guest = await federation.servers[0].guest()
    async with federation.process(["true"]):
        await guest.online(within=1)
