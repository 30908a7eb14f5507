"""A server that does nothing but route, so that a generator's own limit shows: `python -m tests.load.null_server`.

It speaks as much as a client needs (STARTTLS or direct TLS or neither, PLAIN and SCRAM-SHA-1, bind, stream management
with resumption), keeps messages for who is away, shows presences to contacts, answers for rosters and archives, and
trusts everybody with PASSWORD. Arguments: JSON {"host", "port", "security", "certificate", "key"}.
It says "ready PORT" on standard output and obeys lines on standard input, answering each with "done":

    stall SECONDS     stand still, connections open
    cut               break all connections; sessions may be resumed
    forget            break all connections, and no session can be resumed
    swallow N / double N    drop, or deliver twice, the next N messages
    ignore N                show the next N presences to no contact
    late N                  deliver the next N messages, and say that they cannot be
    keep N                  put the next N messages away until the receiver comes online, though they are
    away                    keep nothing for who is away any more
    linger                  take 150 ms for an answer and 50 to end a session, to which messages still go until then
    rosters JSON            who is subscribed to whom: {"load1@a.example": ["load2@a.example"], ...}
    cpu               answers "cpu SECONDS" of this process
    routed            answers "routed N", messages since the start
    logins            answers "logins N", those of the user who has logged in least often
    kept              answers "kept N", how many messages `keep` still has to put away
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import secrets
import ssl
import sys
import threading
import time

import uvloop

from tests.load.null_server.stream import ID, Account, Stream, World

ASK_EVERY = 50  # messages to a client until it is asked what it has


class Peer(Stream):
    def route(self, data: bytes) -> bytes:
        account, world = self.account, self.world
        at, end = 0, len(data)
        prefix = b"<message from='" + account.jid + b"'"
        while at < end:
            if data.startswith(b"<message", at):
                stop = data.find(b"</message>", at) + 10
                if stop < 10:
                    break
                start = data.find(b" to=", at) + 5
                address = data[start : data.index(data[start - 1 : start], start)]
                account.handled += 1
                self.deliver(address.partition(b"/")[0], prefix + data[at + 8 : stop])
            else:
                stop = data.find(b">", at) + 1
                if not stop:
                    break
                name = data[at + 1 : at + 9]
                name = b"iq" if name.startswith(b"iq") else name
                if name in (b"iq", b"presence") and not data.endswith(b"/>", at, stop):
                    closing = b"</" + name + b">"
                    stop = data.find(closing, at) + len(closing)
                    if stop < len(closing):
                        break
                self.other(data[at:stop], world)
            at = stop
        return data[at:]

    def deliver(self, bare: bytes, stanza: bytes) -> None:
        world = self.world
        world.routed += 1
        account = world.accounts.get(bare)
        if world.swallow:
            world.swallow -= 1
            return
        if account is None or world.late:
            identity = re.search(rb"id='([^']*)", stanza)[1]
            error = b"<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
            back = b"<message type='error' from='%b' to='%b' id='%b'>%b</message>"
            send(self.account, back % (bare, self.account.jid, identity, error))
            world.late = max(0, world.late - 1)
            if account is None:
                return
        world.archived.add(bare)
        if (not account.available and not account.ending) or world.keep:
            world.keep = max(0, world.keep - account.available)
            if world.offline is not None:
                world.offline.setdefault(bare, []).append(stanza)
            return
        if world.double:
            world.double -= 1
            send(account, stanza)
        send(account, stanza)

    def other(self, element: bytes, world: World) -> None:
        account = self.account
        if element.startswith(b"<r "):
            self.write(b"<a xmlns='urn:xmpp:sm:3' h='%d'/>" % account.handled)
        elif element.startswith(b"<a "):
            self.acknowledge(element)
        elif element.startswith(b"<enable"):
            account.identity = secrets.token_hex(8).encode()
            account.handled = 0
            world.sessions[account.identity] = account
            self.write(b"<enabled xmlns='urn:xmpp:sm:3' id='%b' resume='true'/>" % account.identity)
        elif element.startswith(b"<iq"):
            account.handled += 1
            self.asked(element, ID.match(element)[1])
        elif element.startswith(b"<presence"):
            account.handled += 1
            self.presence(element)
        elif element.startswith(b"</stream"):
            account.available, account.ending = False, bool(world.linger)
            asyncio.get_running_loop().call_later(world.linger, self.end, account)

    def end(self, account: Account) -> None:
        account.ending = False
        self.world.sessions.pop(account.identity, None)
        if not self.transport.is_closing():
            self.write(b"</stream:stream>")
            self.transport.close()

    def asked(self, element: bytes, identity: bytes) -> None:
        account, world = self.account, self.world
        bare, inside = account.jid.partition(b"/")[0], b""
        if b"jabber:iq:roster" in element and b"type='set'" in element:
            push = element[element.index(b"<query") : element.index(b"</iq>")]
            send(account, b"<iq type='set' id='push'>%b</iq>" % push)
        elif b"jabber:iq:roster" in element:
            items = (b"<item jid='%b' subscription='both'/>" % one for one in world.rosters.get(bare, []))
            inside = b"<query xmlns='jabber:iq:roster'>%b</query>" % b"".join(items)
        elif b"urn:xmpp:mam:2" in element and bare in world.archived:
            inside = b"<fin xmlns='urn:xmpp:mam:2'><set><first>1</first></set></fin>"
        answer = b"<iq type='result' id='%b'>%b</iq>" % (identity, inside)
        if world.linger:
            asyncio.get_running_loop().call_later(3 * world.linger, send, account, answer)
        else:
            send(account, answer)

    def presence(self, element: bytes) -> None:
        account, world = self.account, self.world
        bare = account.jid.partition(b"/")[0]
        account.available = b"type='unavailable'" not in element
        for other in world.rosters.get(bare, []) if not world.ignore else ():
            contact = world.accounts.get(other)
            if contact is not None and contact.available:
                send(contact, b"<presence from='%b' to='%b'%b" % (account.jid, other, element[9:]))
        world.ignore = max(0, world.ignore - 1)
        send(account, b"<presence from='%b' to='%b'%b" % (account.jid, account.jid, element[9:]))
        if account.available and world.offline:
            for stanza in world.offline.pop(bare, []):
                send(account, stanza)


def send(account: Account, stanza: bytes) -> None:
    if account.identity:
        account.out.append(stanza)
        account.since_asked += 1
        if account.since_asked == ASK_EVERY:
            stanza += b"<r xmlns='urn:xmpp:sm:3'/>"
    if account.peer is not None and not account.peer.transport.is_closing():
        account.peer.write(stanza)


def obey(world: World, line: str) -> str:
    word, _, value = line.strip().partition(" ")
    if word == "stall":
        time.sleep(float(value))
    elif word in ("cut", "forget"):
        if word == "forget":
            world.sessions.clear()
        for peer in list(world.peers):
            peer.transport.abort()
    elif word in ("swallow", "double", "ignore", "late", "keep"):
        setattr(world, word, int(value))
    elif word == "away":
        world.offline = None
    elif word == "linger":
        world.linger = 0.05
    elif word == "rosters":
        world.rosters = {one.encode(): [b.encode() for b in others] for one, others in json.loads(value).items()}
    elif word == "cpu":
        return f"cpu {time.process_time()}"
    elif word == "routed":
        return f"routed {world.routed}"
    elif word == "logins":
        return f"logins {min(world.logins.values(), default=0)}"
    elif word == "kept":
        return f"kept {world.keep}"
    return "done"


async def main(options: dict) -> None:
    loop = asyncio.get_running_loop()
    context = None
    if options["security"] != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options["certificate"], options["key"])
    world = World(options["security"], context)
    server = await loop.create_server(lambda: Peer(world), options["host"], options.get("port", 0), backlog=4096)
    ended = asyncio.Event()

    def read() -> None:  # a thread: a stalled loop must not lose commands
        for line in sys.stdin:
            loop.call_soon_threadsafe(lambda line=line: print(obey(world, line), flush=True))
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=read, daemon=True).start()
    gc.freeze()
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()


if __name__ == "__main__":
    import resource

    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(hard, 65536), max(hard, 65536)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(main(json.loads(sys.argv[1])))
