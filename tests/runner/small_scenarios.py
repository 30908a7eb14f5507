"""Small scenarios for the integration tests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from xml.etree import ElementTree as ET

from lab import Federation, PeerError, expect, scenario, step
from lab.clients.xmpp.client_stream import ClientStream, make_tls_context
from lab.faults import (
    certificate,
    client,
    downgrade,
    drop_stanzas,
    intercept,
    modify_ciphertext,
    replay,
    reset_streams,
    strip_encryption,
    swap_bundle,
)
from lab.federation import Message
from lab.federation.people import Person
from lab.lifecycle.lab import Lab


@scenario()
async def three_in_a_row(federation: Federation) -> None:
    """Alice writes three times."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    with step("alice writes three times"):
        for text in ("one", "two", "three"):
            await alice.send(bob, text)


@scenario()
async def three_neighbours(federation: Federation) -> None:
    """On each of two servers three people with two devices; each writes to one on the other server."""
    a, b = federation.linked_pair()
    homes = [[await server.person(devices=2) for _ in range(3)] for server in (a, b)]
    for one, other in zip(*homes, strict=True):
        expect(await (await one.send(other, "hello")).outcome(), federation.link(a, b).promise)


@scenario()
async def one_secret(federation: Federation) -> None:
    """Alice sends one secret, encrypted."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption="omemo"), await b.person("bob", encryption="omemo")
    message = await alice.send(bob, federation.secret())
    await message.outcome()


@scenario()
async def one_secret_in_omemo2(federation: Federation) -> None:
    """Alice sends one secret, encrypted with OMEMO 2."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption="omemo:2"), await b.person("bob", encryption="omemo:2")
    message = await alice.send(bob, federation.secret())
    await message.outcome()


@scenario()
async def one_secret_in_otr(federation: Federation) -> None:
    """Alice sends one secret, encrypted with OTR."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption="otr"), await b.person("bob", encryption="otr")
    message = await alice.send(bob, federation.secret())
    await message.outcome()


@scenario()
async def a_member_is_away(federation: Federation) -> None:
    """Alice says a secret in an encrypted room, of which carol is a member who is not there."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption="omemo"), await b.person("bob", encryption="omemo")
    carol = await b.person("carol", encryption="omemo")
    room = await a.room("cellar", occupants=[alice, bob], members=[carol], members_only=True, non_anonymous=True)
    message = await alice.send(room, federation.secret())
    await message.read_by(bob.device)


@scenario()
async def nobody_speaks(federation: Federation) -> None:
    """Nothing happens."""
    await federation.people()


@scenario()
async def a_room_of_all(federation: Federation) -> None:
    """A room on the hub, joined from all its neighbours: everybody reads everybody."""
    host = federation.hub()
    people = [await server.person() for server in (host, *host.neighbours)]
    room = await host.room("square", occupants=people)
    with step("everybody says something"):
        messages = [await person.send(room, f"hello from {person.name}") for person in people]
    with step("everybody has read everything, their own words included"):
        await room.converged(within="30s")
        for message in messages:
            expect(len((await message.outcome()).deliveries), len(people))
    with step("one leaves, the others agree on who is left"):
        await room.leave(people[-1])
        await room.converged(within="30s")


@scenario()
async def one_way(federation: Federation) -> None:
    """Somebody writes a secret to a neighbour, who does not answer: what servers keep is searched for it."""
    a, b = federation.linked_pair()
    message = await (await a.person()).send(await b.person(), federation.secret())
    expect(await message.outcome(), federation.link(a, b).promise)


@scenario()
async def stream_closed_under_a_message(federation: Federation) -> None:
    """Alice's server closes her stream for what is no XML; what she writes at once is lost with it."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    await asyncio.gather(alice.devices[0].send_raw("<message><body></message>"), alice.send(bob, "hello"))


@asynccontextmanager
async def another_client_of(lab: Lab, person: Person) -> AsyncIterator[ClientStream]:
    """A client that is not an agent of the lab: nothing but its server's feed shows what it sends."""
    trouble: list[str] = []
    other = ClientStream(f"{person.jid}/other", lab.password, make_tls_context(lab.authority), trouble.append)
    await other.open(person.server.address, person.server.c2s_port)
    try:
        yield other
    finally:
        await other.shut()


@scenario()
async def another_client_of_hers(federation: Federation) -> None:
    """Alice writes with a client that is not the lab's as well, to bob, to nobody, and in the lab's words."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    async with another_client_of(federation.lab, alice) as other:
        for to, message in ((bob.jid, "own-1"), (f"nobody@{b.domain}", "own-2")):
            other.write(f"<message to='{to}' type='chat' id='{message}'><body>hello</body></message>")
        await bob.device.received("own-1")
        await other.ask("get", ET.Element("{urn:xmpp:ping}ping"), b.domain)
        await (await alice.send(bob, "from the lab's client")).outcome()


@scenario()
async def two_from_another_client_of_hers(federation: Federation) -> None:
    """Alice writes to bob twice with a client that is not the lab's, and then with one that is."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    async with another_client_of(federation.lab, alice) as other:
        for message in ("own-1", "own-2"):
            other.write(f"<message to='{bob.jid}' type='chat' id='{message}'><body>hello</body></message>")
        await bob.device.received("own-1")
        await other.ask("get", ET.Element("{urn:xmpp:ping}ping"), b.domain)
        await (await alice.send(bob, "from the lab's client")).outcome()


@scenario(spec="RFC 6120 13.1")
async def another_text(federation: Federation) -> None:
    """Somebody between two servers changes what is said."""
    a, b = federation.linked_pair()
    alice, bob = await a.person(), await b.person()
    rules = [{"action": "replace", "element": "body", "text": "something else", "contains": "first"}]
    async with federation.inject(intercept(federation.link(a, b), rules, direction="to")):
        for text in ("first", "second"):
            await (await alice.send(bob, text)).outcome()


@scenario(spec="XEP-0198 5")
async def resumed_behind_a_cheat(federation: Federation) -> None:
    """A server swallows every second message of its client's; both directions, and the client resumes its stream."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", resumable=True), await b.person("bob")
    async with federation.inject(drop_stanzas(alice.device, nth=2)):
        there = [await alice.send(bob, f"there {number}") for number in (1, 2, 3)]
        back = [await bob.send(alice, f"back {number}") for number in (1, 2, 3)]
        for message in (there[0], there[2], back[0], back[2]):
            expect(len((await message.outcome()).deliveries), 1)
        async with federation.inject(client(alice.device)):
            pass
        there += [await alice.send(bob, f"there {number}") for number in (4, 5)]
        expect(len((await there[-1].outcome()).deliveries), 1)
    async with federation.inject(client(alice.device)):
        pass
    back.append(await bob.send(alice, "back, by an honest server"))
    expect(len((await back[-1].outcome()).deliveries), 1)
    arrived = [(await message.outcome(within="1s")).deliveries for message in (*there, *back)]
    expect([len(one) for one in arrived], [1, 0, 1, 0, 1, 1, 0, 1, 1])


LATE = 1.0  # seconds


@scenario(spec="RFC 6120 10.1")
async def first_is_late(federation: Federation) -> None:
    """Somebody between two servers sends the first message on after the second."""
    await _send_two(federation, {"action": "delay", "contains": "first", "after": f"{LATE}s"})


@scenario(spec="RFC 6120 10.1")
async def second_overtakes(federation: Federation) -> None:
    """Somebody between two servers lets two messages change places."""
    await _send_two(federation, {"action": "reorder"})


async def _send_two(federation: Federation, rule: dict[str, str]) -> None:
    a, b = federation.linked_pair()
    alice, bob = await a.person(), await b.person()
    wanted = {"stanza": "message", "element": "body", **rule}
    async with federation.inject(intercept(federation.link(a, b), [wanted], direction="to")):
        sent = [await alice.send(bob, text) for text in ("first", "second")]
        for message in sent:
            await message.outcome()


@scenario(spec="XEP-0384", expects={"secrecy": "failed"})
async def read_both_ways(federation: Federation) -> None:
    """Bob's server reads what the two write to each other, more than once."""
    await _read_both_ways(federation, "omemo")


@scenario(spec="XEP-0384", expects={"secrecy": "failed"})
async def read_both_ways_2(federation: Federation) -> None:
    """The same with OMEMO 2."""
    await _read_both_ways(federation, "omemo:2")


@scenario(spec="OTR v3", expects={"secrecy": "failed"})
async def read_both_ways_otr(federation: Federation) -> None:
    """The same with OTR, whoever begins."""
    await _read_both_ways(federation, "otr")
    await _read_both_ways(federation, "otr", answers=True)


async def _read_both_ways(federation: Federation, encryption: str, *, answers: bool = False) -> None:
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption=encryption), await b.person("bob", encryption=encryption)
    async with federation.inject(swap_bundle(at=b, of=bob)) as cheat:
        turns = ((alice, bob), (bob, alice), (bob, alice), (alice, bob))
        for sender, receiver in turns[answers:]:
            message = await sender.send(receiver, federation.secret())
            expect(await cheat.decrypts(message), True)
            expect([one.text for one in (await message.outcome()).deliveries], [message.text])


@scenario()
async def one_of_two_devices(federation: Federation) -> None:
    """Bob's laptop announces no encryption, his phone does: the phone reads what alice writes, and he is not lost."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption="omemo"), await b.person("bob", encryption="omemo")
    laptop = await bob.add_device("laptop", encryption="plain")
    message = await alice.send(bob, federation.secret())
    expect(await message.read_by(bob.device, laptop), {bob.device: message.text, laptop: None})


@scenario()
async def the_wrong_device(federation: Federation) -> None:
    """Only bob's laptop is online, which announces no encryption; his phone's keys are still there."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption="omemo"), await b.person("bob", encryption="omemo")
    await bob.add_device("laptop", encryption="plain")
    await bob.device.disconnect()
    expect(str(await alice.attempt(bob, federation.secret())), "unread (omemo): its device announces no encryption")


@scenario()
async def keys_are_lost(federation: Federation) -> None:
    """Bob's device has lost its private keys."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption="omemo"), await b.person("bob", encryption="omemo-keys-lost")
    expect((await alice.attempt(bob, federation.secret())).result, "unread")
    expect((await bob.attempt(alice, federation.secret())).result, "refused")


@scenario(spec="RFC 6120 13.7")
async def expired_under_attack(federation: Federation) -> None:
    """A server's certificate expires while somebody reads its stanzas: others refuse it as they would without."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    link = federation.link(a, b)
    async with federation.inject(intercept(link, [{"action": "read", "stanza": "message"}])):
        expect(await (await alice.send(bob, "before")).outcome(), link.promise)
        async with federation.inject(certificate(b, how="expired")):
            async with federation.inject(reset_streams(link)):
                await alice.ping(b, reached=False)
            outcome = await (await alice.send(bob, "expired")).outcome(within="60s")
            expect([bool(outcome.deliveries), bool(outcome.bounces)], [False, True])


_ENCRYPTIONS = ("omemo", "omemo:2", "otr")


async def _write_behind_a_cheat(
    federation: Federation, encryption: str, attack: Callable[..., Any], *, established: bool = True
) -> list[Any]:
    """How each reads the other's message while alice's own server attacks her device: a word, or the encryption."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption=encryption), await b.person("bob", encryption=encryption)
    both = ((alice, bob), (bob, alice))
    if established:
        for one, other in both:
            expect(await _is_read(await one.send(other, federation.secret())), True)
    found = []
    async with federation.inject(attack(alice.device)):
        for one, other in both:
            try:
                message = await one.send(other, federation.secret())
            except PeerError:
                found.append("refused")
                continue
            behind = await one.send(other, federation.secret())
            await one.ping(other.server)
            await behind.outcome(within="5s")
            reads = (await message.outcome(within="5s")).deliveries
            words = {None: "unreadable", message.text: reads[0].encryption if reads else ""}
            found.append(" ".join(words.get(read.text, "another") for read in reads))
    for one, other in both:
        # OTR begins a new session once something was unreadable: what is written meanwhile may be lost.
        tries = [await _is_read(await one.send(other, federation.secret()))]
        if encryption == "otr" and not tries[0]:
            tries.append(await _is_read(await one.send(other, federation.secret())))
        expect(tries[-1], True)
    return found


async def _is_read(message: Message) -> bool:
    return [read.text for read in (await message.outcome()).deliveries] == [message.text]


@scenario(spec="XEP-0384, OTR v3", expects={"delivery": "failed"})
async def changed_at_home(federation: Federation) -> None:
    """Alice's own server changes ciphertext, both ways: nobody can read it, and afterwards all is well."""
    for encryption in _ENCRYPTIONS:
        found = await _write_behind_a_cheat(federation, encryption, modify_ciphertext)
        expect(found, ["unreadable"] * 2)


@scenario(spec="XEP-0384, OTR v3", expects={"delivery": "failed"})
async def replayed_at_home(federation: Federation) -> None:
    """Alice's own server repeats messages, both ways: only the first copy is read."""
    for encryption in _ENCRYPTIONS:
        found = await _write_behind_a_cheat(federation, encryption, lambda device: replay(device, element=""))
        expect(found[0], f"{encryption} unreadable")
        # With OTR a new session is under way by then, and what is written in the old one may be lost.
        expect(found[1] in ([found[0], "unreadable unreadable"] if encryption == "otr" else [found[0]]), True)


@scenario(spec="XEP-0384, OTR v3", expects={"delivery": "failed", "integrity": "failed"})
async def stripped_at_home(federation: Federation) -> None:
    """Alice's own server takes encryption out, both ways: another text is read, and of OMEMO 2 nothing."""
    for encryption in _ENCRYPTIONS:
        found = await _write_behind_a_cheat(federation, encryption, strip_encryption)
        expect(found, ["" if encryption == "omemo:2" else "another"] * 2)


@scenario(spec="XEP-0384, OTR v3")
async def downgraded_at_home(federation: Federation) -> None:
    """Alice's own server hides what others offer: she uses an older version; they, who see all, do not."""
    both = await _write_behind_a_cheat(
        federation, "omemo+omemo:2", lambda device: downgrade(device, to="omemo"), established=False
    )
    expect(both, ["omemo", "omemo:2"])
    older = await _write_behind_a_cheat(
        federation, "otr", lambda device: downgrade(device, to="otr:2"), established=False
    )
    expect(older, ["otr", "otr"])


@scenario(spec="XEP-0384, OTR v3", expects={"delivery": "failed"})
async def nothing_offered_at_home(federation: Federation) -> None:
    """Alice's own server hides all that others offer: she sends nothing, and cannot read whose list she never saw."""
    for encryption, found in (("omemo", "unreadable"), ("omemo:2", "unreadable"), ("otr", "refused")):
        offered = await _write_behind_a_cheat(
            federation, encryption, lambda device: downgrade(device, to="plain"), established=False
        )
        expect(offered, ["refused", found])
