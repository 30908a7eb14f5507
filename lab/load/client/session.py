"""One user's session, over all the connections that carry it.

    offline --connect--> online --connection lost--> returning --resumed, or anew--> online --leave, retire--> offline

Rules:
- what is sent while no connection stands is kept and sent upon return;
- a resumed session sends again what the server does not have, and nothing else (XEP-0198 section 5);
- where the server resumes nothing, the user logs in anew and sends again what was never acknowledged: whether it
  had come the server alone knows, and the judge counts it if it comes twice;
- one who cannot return within PATIENCE is gone, which is told once;
- one who retires leaves nothing behind that would come twice or never, `leave` is for the end of all.
"""

from __future__ import annotations

import asyncio
import ssl

from lab.errors import PeerError
from lab.load.client import negotiation as login
from lab.load.client import stanzas
from lab.load.client.common import Common
from lab.load.client.connection import Wire
from lab.load.client.stream_management import MODULO, Management
from lab.load.client.xml_stream import Element
from lab.load.model.spec import Endpoint

LOGIN_PATIENCE = 30.0  # seconds for one login: a server that makes accounts or keys meanwhile may take ten
FIRST_DELAY = 0.1  # seconds before the first attempt to return; doubled each time, and dealt out by chance
LONGEST_DELAY = 5.0
PATIENCE = 60.0  # seconds of attempts until a user is given up
POLL = 0.01  # seconds between two looks


class Session:
    """A user; `number` is the one in the load, of all workers."""

    __slots__ = (
        "_common", "_kept", "_management", "_ready", "_retiring", "_returning", "_wire", "endpoint", "number", "user"
    )  # fmt: skip

    def __init__(self, common: Common, number: int, user: str, endpoint: Endpoint) -> None:
        self.number, self.user, self.endpoint = number, user, endpoint
        self._common = common
        self._wire: Wire | None = None
        self._management: Management | None = None
        self._kept: list[bytes] = []  # sent while there was neither connection nor management
        self._ready: asyncio.Future[None] | None = None
        self._returning: asyncio.Task[None] | None = None
        self._retiring = False

    @property
    def online(self) -> bool:
        """Whether what is sent now goes out now."""
        return self._wire is not None and not self._retiring

    @property
    def context(self) -> ssl.SSLContext | None:
        """What TLS connections to the server are made with."""
        return self._common.context

    async def connect(self) -> None:
        """Log in; returns once the server has taken note that the user is available.

        Raises PeerError, OSError, TimeoutError.
        """
        if await self._login():  # a logout that broke off was resumed: it had gone as far as unavailable
            await self._told(stanzas.PRESENCE)

    def send(self, stanza: bytes, *, even_now: bool = False) -> None:
        """Send a stanza, or keep it until the session is online again; `even_now`: also while it is about to retire."""
        if self._retiring and not even_now:
            self._kept.append(stanza)
            return
        wire, management = self._wire, self._management
        if management is not None:
            if management.sent(stanza) and wire is not None:
                stanza += stanzas.REQUEST
        elif wire is None:
            self._kept.append(stanza)
        if wire is not None:
            wire.write(stanza)

    def ask(self) -> None:
        """Ask the server what it has, if something is unacknowledged. To be called now and then."""
        if self._wire is not None and self._management is not None and self._management.ask():
            self._wire.write(stanzas.REQUEST)

    def drop(self, reason: str = "dropped on purpose") -> None:
        """Break the connection, as a bad network does; the session returns by itself."""
        if self._wire is not None:
            self._wire.abort(reason)

    def leave(self) -> Wire | None:
        """Log out; what is unacknowledged by now stays so. Returns what closes by itself then."""
        if self._returning is not None:
            self._returning.cancel()
        wire, self._wire, management, self._management = self._wire, None, self._management, None
        if wire is not None:
            wire.serve(_unheard, _unheard, _unheard)
            if management is not None:  # or the server keeps what has come, for the next load's user
                wire.write(stanzas.answer(management.handled % MODULO))
            wire.write(stanzas.CLOSE)
            wire.close()
        return wire

    def pause(self) -> None:
        """From now on keep what is sent: the user is about to retire."""
        self._retiring = True

    async def retire(self) -> None:
        """Log out so that all the server had for the user has come; what is sent meanwhile is kept for the return.

        Unavailable first: what comes later is kept for the next session (RFC 6121 section 8.5.2.2.1). The server's word
        that it has that comes behind everything that it sent before. Then our word that we have all of it (XEP-0198
        section 4), or it would come once more. Where the connection breaks meanwhile, `connect` resumes it.
        """
        self._retiring, wire = True, self._wire
        if wire is None:
            self._retiring = False
            return
        try:
            async with asyncio.timeout(LOGIN_PATIENCE):
                await self._told(stanzas.UNAVAILABLE)
                if self._management is not None:
                    wire.write(stanzas.answer(self._management.handled % MODULO))
                wire.write(stanzas.CLOSE)
                while not wire.closed:  # noqa: ASYNC110 - what comes until then counts
                    await asyncio.sleep(POLL)
        except PeerError:  # it broke: what was on its way is the resumed session's
            return
        finally:
            self._wire, self._retiring = None, False
            wire.abort("logged out")
        if self._management is not None:
            self._kept = self._management.unacknowledged + self._kept
            self._management = None

    def come_back(self, reason: str) -> None:
        """Log in again by itself, as after a connection that was lost."""
        self._returning = asyncio.get_running_loop().create_task(self._return(reason))

    # -- login

    async def _login(self) -> bool:
        """Whether the session was resumed."""
        common, endpoint = self._common, self.endpoint
        async with asyncio.timeout(LOGIN_PATIENCE):
            wire, features = await login.authenticated(
                endpoint, self.user, common.load.password, common.load.security, common.context
            )
            try:
                if await self._resumed(wire):
                    return True
                await self._anew(wire, features)
            except BaseException:
                self._ready = None
                wire.abort("the login failed")
                raise
            return False

    async def _resumed(self, wire: Wire) -> bool:
        management = self._management
        if management is None or not management.identity:
            return False
        wire.write(stanzas.resume(management.identity, management.handled % MODULO))
        element = await wire.read()
        if element.name != "resumed":
            management.identity = ""  # this stream is over; what it had is told if the server knows (section 5)
            if "h" in element.attributes:
                management.acknowledge(element.attributes["h"])
            return False
        management.acknowledge(element.attributes.get("h"))
        self._wire = wire
        wire.serve(self._message, self._element, self._lost)
        if again := management.again():
            wire.write(again)
        return True

    async def _anew(self, wire: Wire, features: Element) -> None:
        wire.write(stanzas.bind(stanzas.RESOURCE))
        bound = await login.expected(wire, "iq")
        if bound.attributes.get("type") != "result":
            raise PeerError(f"{self.user}@{self.endpoint.domain} gets no resource: {bound!r}")
        before = self._management.unacknowledged if self._management is not None else []
        self._management = await self._managed(wire, features)
        self._kept = before + self._kept
        self._wire = wire
        wire.serve(self._message, self._element, self._lost)
        await self._told(stanzas.PRESENCE)
        kept, self._kept = self._kept, []
        for stanza in kept:
            self.send(stanza)

    async def _managed(self, wire: Wire, features: Element) -> Management | None:
        offered = {(child.name, child.attributes.get("xmlns")) for child in features.children}  # often of two versions
        if not self._common.load.resumption or ("sm", stanzas.MANAGEMENT) not in offered:
            return None
        wire.write(stanzas.ENABLE)
        # What somebody sends to the resource at once, a room that still has it for one, may come before the answer.
        while (enabled := await wire.read()).name in ("message", "presence", "iq"):
            if enabled.name == "message" and enabled.attributes.get("type") != "error":
                self._message(enabled.attributes["id"])
            else:
                self._element(enabled)
        if enabled.name != "enabled":
            raise PeerError(f"the server answers {enabled!r} where 'enabled' was due")
        resumes = enabled.attributes.get("resume") in ("true", "1")
        return Management(enabled.attributes.get("id", "") if resumes else "")

    async def _told(self, presence: bytes) -> None:
        """Send presence; returns once the server has it. Raises PeerError if the connection breaks.

        Its word for it is an acknowledgement, or without management the answer to a ping that came behind it.
        """
        self.send(presence, even_now=True)
        wire, management = self._wire, self._management
        if wire is None or (management is not None and not management.ask()):
            return
        self._ready = asyncio.get_running_loop().create_future()
        wire.write(stanzas.REQUEST if management is not None else stanzas.PING)
        try:
            await self._ready
        finally:
            self._ready = None

    def _word(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    # -- what comes

    def _message(self, identity: str) -> None:
        if self._management is not None:
            self._management.handled += 1
        self._common.on_message(self, identity)

    def _element(self, element: Element) -> None:
        name, management = element.name, self._management
        if name in ("iq", "presence", "message"):
            if management is not None:
                management.handled += 1
            asked = element.attributes.get("type")
            if name == "iq" and asked in ("get", "set") and not (asked == "set" and _is_push(element)):
                self.send(stanzas.refusal(element.attributes), even_now=True)
            elif element.attributes.get("id") == stanzas.PING_ID:
                self._word()
            else:
                self._common.on_stanza(self, element)
        elif name == "r" and management is not None and self._wire is not None:
            self._wire.write(stanzas.answer(management.handled % MODULO))
        elif name == "a" and management is not None:
            management.acknowledge(element.attributes.get("h"))
            self._word()
        elif name == "stream:error" and self._wire is not None:
            self._wire.abort(f"the server ends the stream: {[child.name for child in element.children]}")

    # -- the way back

    def _lost(self, reason: str) -> None:
        if self._wire is None:
            return
        self._wire = None
        if self._ready is not None:  # the login or logout under way tells of it
            if not self._ready.done():
                self._ready.set_exception(PeerError(reason))
        elif not self._retiring:
            self.come_back(reason)

    async def _return(self, reason: str) -> None:
        loop, common = asyncio.get_running_loop(), self._common
        deadline, delay = loop.time() + PATIENCE, FIRST_DELAY
        while True:
            await asyncio.sleep(delay * common.rng.uniform(0.5, 1.0))
            try:
                resumed = await self._login()
            except (PeerError, OSError, TimeoutError) as error:
                if loop.time() > deadline:
                    common.on_gone(self, f"{reason}; and there is no way back: {error or type(error).__name__}")
                    return
                delay = min(2 * delay, LONGEST_DELAY)
            else:
                common.on_return(self, resumed)
                return


def _is_push(element: Element) -> bool:
    """Whether a server's request says what is new in the roster (RFC 6121 section 2.1.6)."""
    query = element.find("query")
    return query is not None and query.attributes.get("xmlns") == "jabber:iq:roster"


def _unheard(_: object) -> None:
    """For what comes after a user has left."""
