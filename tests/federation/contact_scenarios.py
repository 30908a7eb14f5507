"""What people of two servers do with each other, in both directions, as scenarios that the lab judges."""

from collections.abc import Callable

import pytest

from lab import Federation, NotApplicable, NotReceived, PeerError, UserError, expect, scenario, step
from lab.federation import Message, Person, ServerHandle, Stanza
from lab.history.events import Disconnected

#: Bytes of a file: more than Prosody takes.
TOO_LARGE = 11 << 20

#: What servers answer where nobody may register (XEP-0077 section 3.1).
CLOSED = ("forbidden", "not-allowed", "service-unavailable", "not-acceptable")


def both_ways(federation: Federation) -> list[tuple[ServerHandle, ServerHandle]]:
    a, b = federation.linked_pair()
    return [(a, b), (b, a)]


def received_twice(person: Person, message: Message) -> Callable[[Stanza], bool]:
    """Whether the first device of a person got a message twice."""
    stanzas = person.device.log.stanzas
    return lambda _: sum(one.id == message.id and one.direction == "in" for one in stanzas) == 2


@scenario(spec="RFC 6121 3")
async def subscriptions(federation: Federation) -> None:
    """A request is granted, given up, refused, withdrawn: both rosters agree each time."""
    for a, b in both_ways(federation):
        alice, bob = await a.person(), await b.person()
        with step(f"{alice} asks {bob}, who grants it"):
            await alice.subscribe(bob)
            await bob.approve(alice, within="60s")
            await alice.roster({bob: "to"}, within="60s")
            await bob.roster({alice: "from"})
            await alice.device.received(lambda one, bob=bob: one.sender == bob.device.jid and one.name == "presence")
        with step("the other way round: both see each other"):
            await bob.subscribe(alice)
            await alice.approve(bob, within="60s")
            await bob.roster({alice: "both"}, within="60s")
            expect((await alice.roster())[bob.jid].subscription, "both")
        with step("friends at once"):
            carol, dave = await a.person(), await b.person()
            await federation.befriend(carol, dave)
            expect(
                [(await one.roster())[other.jid].subscription for one, other in ((carol, dave), (dave, carol))],
                ["both", "both"],
            )
        with step(f"{alice} gives it up, {bob} withdraws what was granted"):
            await alice.unsubscribe(bob)
            await bob.roster({alice: "to"}, within="60s")
            await alice.deny(bob)
            await bob.roster({alice: "none"}, within="60s")
        with step("a request is refused"):
            await alice.subscribe(bob)
            await bob.deny(alice, within="60s")
            await alice.roster({bob: "none"}, within="60s")
            with pytest.raises(NotReceived, match="is not as expected within"):
                await alice.roster({bob: "both"}, within=0.1)
            with pytest.raises(NotReceived, match="received no request"):
                await bob.approve(alice, within=0.1)


@scenario(spec="XEP-0308, XEP-0184, XEP-0280, XEP-0313")
async def messages_with_more(federation: Federation) -> None:
    """Corrections, receipts, private messages, further elements, an archive, any IQ."""
    for a, b in both_ways(federation):
        alice, bob = await a.person(devices=2), await b.person()
        with step("a receipt, and a correction of a correction"):
            first = await alice.send(bob, "helo", receipt=True)
            expect((await first.acknowledged("60s")).device, bob.device.jid)
            second = await alice.send(bob, "hallo", correct=first)
            third = await alice.send(bob, "hello", correct=second)
            await third.outcome()
            replaced = (await bob.device.received(third.id)).element.find("{urn:xmpp:message-correct:0}replace")
            expect(replaced is not None and replaced.get("id"), first.id)
        with step("a private message has no copy, the next one has"):
            secret = await alice.send(bob.device, "for one device", private=True, extensions=["<mark xmlns='urn:x'/>"])
            shared = await alice.send(bob.device, "for all")
            await alice.devices[1].received(shared.id, within="60s")
            expect([one.via for one in (await secret.outcome()).deliveries], ["live"])
            expect("urn:x" in (await bob.device.received(secret.id)).xml, True)
        with step("the archive has them, encrypted is none"):
            found = await bob.device.archive(with_=alice)
            expect([one.text for one in found if one.id in (first.id, third.id)], ["helo", "hello"])
        with step("an error is an answer"):
            ping = "<ping xmlns='urn:xmpp:ping'/>"
            expect((await alice.device.iq(f"<iq type='get' to='{b.domain}'>{ping}</iq>")).type, "result")
            refused = await alice.device.iq(f"<iq type='get' to='nobody@{b.domain}'><query xmlns='urn:x'/></iq>")
            expect((refused.type, refused.condition), ("error", "service-unavailable"))


@scenario(spec="XEP-0277")
async def posts(federation: Federation) -> None:
    """Posts for everybody are followed from another server; those for contacts are not readable by a stranger."""
    for a, b in both_ways(federation):
        alice, bob, shy = await a.person(), await b.person(), await a.person()
        with pytest.raises(PeerError) as nothing:
            await bob.follow(alice)
        expect(nothing.value.condition in ("item-not-found", "service-unavailable", "forbidden"), True)
        first = await alice.publish("one <post> & more", access="open")
        with step(f"{bob} follows {alice}"):
            await bob.follow(alice)
            second = await alice.publish("two", access="open")
            await bob.device.received(second.id, within="60s")
            expect({one.id: one.text for one in await bob.posts(alice)}, {first.id: first.text, second.id: "two"})
        with step("and no more"):
            await bob.unfollow(alice)
            third = await alice.publish("three", access="open")
            expect(third.id in {one.id for one in await bob.posts(alice)}, True)
            expect(any(third.id in one.xml and one.name == "message" for one in bob.device.stanzas), False)
        with step("posts for contacts only"):
            await shy.publish("for friends")
            with pytest.raises(PeerError) as closed:
                await bob.posts(shy)
            expect(closed.value.condition in ("not-authorized", "forbidden", "presence-subscription-required"), True)


@scenario(spec="XEP-0045 8, 9, XEP-0410")
async def rooms(federation: Federation) -> None:
    """Somebody is kicked and rejoins, is made a member, is banned: the room, their ping and all lists agree."""
    for a, b in both_ways(federation):
        owner, guest = await a.person(), await b.person()
        room = await a.room(f"square-{a.name}", occupants=[owner, guest])
        me = f"{room.jid}/{room.nick(guest)}"
        expect(await room.self_ping(guest), "joined")
        with step("kicked, and back"):
            await room.kick(guest)
            expect(await room.self_ping(guest), "not-joined")
            expect(me in (await room.occupant_lists())[room.jid], False)
            await room.rejoin(guest)
            lists = await room.occupant_lists()
            expect(set(lists), {room.jid, owner.device.jid, guest.device.jid})
            expect({len(one) for one in lists.values()}, {2})
        with step("a guest may not kick; an admin may"):
            other = await a.person()
            await room.join(other)
            with pytest.raises(PeerError) as refused:
                await room.kick(other, by=guest)
            expect(refused.value.condition in ("forbidden", "not-allowed"), True)
            await room.affiliation(guest, "admin")
            await room.kick(other, by=guest)
            await room.affiliation(guest, "none")
        with step("banned"):
            await room.ban(guest)
            with pytest.raises(PeerError) as banned:
                await room.rejoin(guest)
            expect(banned.value.condition, "forbidden")


@scenario(spec="XEP-0077, XEP-0445")
async def registration(federation: Federation) -> None:
    """A server is closed, open, for invited people, closed again: who may register an account is what it says."""
    for server in federation.linked_pair():
        with step(f"{server} is closed"):
            with pytest.raises(PeerError) as closed:
                await server.register("nelly")
            expect(closed.value.condition in CLOSED, True)
        with step("open, and the name is taken then"):
            await server.registration("open")
            nelly = await server.register("Nelly")
            expect(nelly.jid, f"nelly@{server.domain}")
            with pytest.raises(PeerError) as taken:
                await server.register("nelly")
            expect(taken.value.condition, "conflict")
            expect((await nelly.device.iq("<iq type='get'><query xmlns='jabber:iq:roster'/></iq>")).type, "result")
        if server.spec.software == "prosody":
            with step("who was invited, once"):
                await server.registration("invited")
                token = await server.invitation()
                with pytest.raises(PeerError):
                    await server.register("oscar")
                with pytest.raises(PeerError) as unknown:
                    await server.register("oscar", invitation="none")
                expect(unknown.value.condition, "forbidden")
                await server.register("oscar", invitation=token)
                with pytest.raises(PeerError):
                    await server.register("peggy", invitation=token)
        else:
            with pytest.raises(NotApplicable, match="has no way to set registration to 'invited'"):
                await server.registration("invited")
        with step("closed again"):
            await server.registration("closed")
            with pytest.raises(PeerError) as closed:
                await server.register("peggy")
            expect(closed.value.condition in CLOSED, True)


@scenario(spec="XEP-0198 4, 5")
async def lost_connections(federation: Federation) -> None:
    """A connection is lost with messages under way: a resumed stream loses none; what was not acknowledged is kept."""
    for a, b in both_ways(federation):
        alice, bob = await a.person(), await b.person(resumable=True)
        with step("resumed: what was sent meanwhile is there, once"):
            first = await alice.send(bob, "one")
            await first.outcome()
            await bob.device.drop_connection()
            expect(bob.device.connected, False)
            second = await alice.send(bob, "two")
            await bob.device.resume()
            outcome = await second.outcome("60s")
            expect([one.device for one in outcome.deliveries], [bob.device.jid])
            third = await bob.send(alice, "three")
            expect(await third.outcome(), federation.link(b, a).promise)
        with step("what is not acknowledged is delivered once more"):
            await bob.device.delay_acknowledgements(by="10min")
            fourth = await alice.send(bob, "four")
            await fourth.outcome()
            await bob.device.drop_connection()
            lost = [one for one in federation.history.events if isinstance(one, Disconnected)][-1]
            expect((fourth.id in lost.unacknowledged, lost.resumable), (True, True))
            await bob.connect()
            if b.spec.software == "prosody":  # ejabberd leaves it in the archive
                await bob.device.received(received_twice(bob, fourth), within="60s")
            found = await bob.device.archive(with_=alice)
            expect(fourth.id in {one.id for one in found}, True)
        with step("without stream management's resumption there is nothing to resume"):
            other = await b.person()
            await other.device.drop_connection()
            with pytest.raises(UserError, match="has no stream to resume"):
                await other.device.resume()
            await other.connect()
            expect(await (await alice.send(other, "five")).outcome(), federation.link(a, b).promise)


@scenario(spec="XEP-0363")
async def files(federation: Federation) -> None:
    """A file goes to one's own server and is fetched from another; what is too large or is not there is refused."""
    for a, b in both_ways(federation):
        alice, bob = await a.person(), await b.person()
        data = bytes(range(256)) * 256
        url = await alice.device.upload(data, name="photo with spaces.bin")
        with step(f"{bob} fetches it from {a}"):
            expect(await bob.device.fetch(url) == data, True)
        with step("what cannot be"):
            with pytest.raises(PeerError, match=r"GET .*404"):
                await bob.device.fetch(f"{url.rpartition('/')[0]}0/nothing")
            with pytest.raises(UserError, match=r"example\.org is no host of this lab"):
                await bob.device.fetch("https://example.org/x")
            if a.spec.software == "prosody":  # ejabberd takes ten times as much
                with pytest.raises(PeerError) as large:
                    await alice.device.upload(bytes(TOO_LARGE))
                expect(large.value.condition, "not-acceptable")
