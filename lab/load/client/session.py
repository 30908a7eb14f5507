"""The XMPP session of one user, over all the connections that carry it.

    offline --connect--> online --connection lost--> reconnecting --resumed or bound anew--> online --logout--> offline

Rules:
- what is sent while there is no connection is queued and sent after the reconnection;
- a resumed stream sends again what the server does not have, and nothing else (XEP-0198 section 5);
- where the server resumes nothing, the user logs in anew and sends again what was never acknowledged: only the server
  knows whether it had received it, and the ledger counts it if it is delivered twice;
- a user who cannot reconnect within RECONNECT_TIMEOUT is given up, which is reported once;
- after `logout` the server holds nothing that it would deliver twice or never; `disconnect` is for the end of a load.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from lab.errors import PeerError
from lab.load.client import negotiation, stanzas
from lab.load.client.connection import Connection
from lab.load.client.stream_management import MODULO, StreamManagement
from lab.load.client.xml_stream import Element
from lab.load.model.spec import Endpoint, Load

LOGIN_TIMEOUT = 30.0  # seconds for one login: a server that makes accounts or keys meanwhile may take ten
FIRST_DELAY = 0.1  # seconds before the first attempt to reconnect; doubled each time, with a random part
LONGEST_DELAY = 5.0
RECONNECT_TIMEOUT = 60.0  # seconds of attempts until a user is given up
POLL = 0.01  # seconds between two checks of a state


@dataclass
class SessionContext:
    """What the sessions of a worker share: the load, the TLS contexts, and who handles what is received.

    Raises UserError for an unknown security, or an authority that is no certificate.
    """

    load: Load
    on_message: Callable[[Session, str], None]  # with the message's id, "" if it has none
    on_stanza: Callable[[Session, Element], None]  # presence, iq, messages of type error
    on_reconnected: Callable[[Session, bool], None]  # whether the stream was resumed
    on_given_up: Callable[[Session, str], None]  # with the reason
    rng: Random
    _tls: dict[str, ssl.SSLContext | None] = field(init=False)  # by what it trusts

    def __post_init__(self) -> None:
        trusted = {"", *(endpoint.trusted for endpoint in self.load.endpoints)}
        self._tls = {
            one: negotiation.make_tls_context(self.load.security, one or self.load.authority) for one in trusted
        }

    def tls_for(self, endpoint: Endpoint) -> ssl.SSLContext | None:
        """The context of TLS connections to a server, None without TLS."""
        return self._tls[endpoint.trusted]


class Session:
    """The session of one user; `number` is the user's number in the load."""

    __slots__ = (
        "_announced", "_connection", "_context", "_logging_out", "_management", "_queue", "_reconnecting", "endpoint",
        "number", "user",
    )  # fmt: skip

    def __init__(self, context: SessionContext, number: int, user: str, endpoint: Endpoint) -> None:
        self.number, self.user, self.endpoint = number, user, endpoint
        self._context = context
        self._connection: Connection | None = None
        self._management: StreamManagement | None = None
        self._queue: list[bytes] = []  # sent while there was neither a connection nor stream management
        self._announced: asyncio.Future[None] | None = None  # the server has processed our presence
        self._reconnecting: asyncio.Task[None] | None = None
        self._logging_out = False

    @property
    def online(self) -> bool:
        """Whether a stanza that is sent now is written at once."""
        return self._connection is not None and not self._logging_out

    @property
    def tls(self) -> ssl.SSLContext | None:
        """The context of TLS connections to the server, None without TLS."""
        return self._context.tls_for(self.endpoint)

    async def connect(self) -> None:
        """Log in; returns once the server has processed the user's available presence.

        Raises PeerError, OSError, TimeoutError.
        """
        if await self._login():  # the stream of an interrupted logout was resumed: the user is unavailable there
            await self._announce(stanzas.AVAILABLE)

    def send(self, stanza: bytes, *, during_logout: bool = False) -> None:
        """Send a stanza, or queue it until the session is online; `during_logout`: write it before the stream ends."""
        if self._logging_out and not during_logout:
            self._queue.append(stanza)
            return
        connection, management = self._connection, self._management
        if management is not None:
            if management.store(stanza) and connection is not None:
                stanza += stanzas.ACK_REQUEST
        elif connection is None:
            self._queue.append(stanza)
        if connection is not None:
            connection.write(stanza)

    def request_ack(self) -> None:
        """Ask the server what it has received, if something is unacknowledged. To be called from time to time."""
        if self._connection is not None and self._management is not None and self._management.ask():
            self._connection.write(stanzas.ACK_REQUEST)

    def disconnect(self) -> Connection | None:
        """End the stream; what is unacknowledged stays so. Returns the connection, which closes by itself."""
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        connection, self._connection, management, self._management = self._connection, None, self._management, None
        if connection is not None:
            connection.dispatch(_ignore, _ignore, _ignore)
            if management is not None:  # or the server stores what we have received for the user's next session
                connection.write(stanzas.build_acknowledgement(management.handled % MODULO))
            connection.write(stanzas.STREAM_END)
            connection.close()
        return connection

    def pause(self) -> None:
        """Queue from now on what is sent: the user is about to log out."""
        self._logging_out = True

    async def logout(self) -> None:
        """Log out after all that the server had for the user is received; what is sent meanwhile is queued.

        Unavailable presence first: the server stores what arrives later for the next session (RFC 6121 section
        8.5.2.2.1). Its acknowledgement follows everything that it sent before. Then we acknowledge all of that
        (XEP-0198 section 4), or it would be delivered again. If the connection breaks meanwhile, `connect` resumes it.
        """
        self._logging_out, connection = True, self._connection
        if connection is None:
            self._logging_out = False
            return
        try:
            async with asyncio.timeout(LOGIN_TIMEOUT):
                await self._announce(stanzas.UNAVAILABLE)
                if self._management is not None:
                    connection.write(stanzas.build_acknowledgement(self._management.handled % MODULO))
                connection.write(stanzas.STREAM_END)
                while not connection.closed:  # noqa: ASYNC110 - what is received until then counts
                    await asyncio.sleep(POLL)
        except PeerError:  # it broke: the resumed stream delivers what was on its way
            return
        finally:
            self._connection, self._logging_out = None, False
            connection.abort("logged out")
        if self._management is not None:
            self._queue = self._management.unacknowledged + self._queue
            self._management = None

    def reconnect(self, reason: str) -> None:
        """Log in again in the background, as after a lost connection."""
        self._reconnecting = asyncio.get_running_loop().create_task(self._reconnect(reason))

    # -- login

    async def _login(self) -> bool:
        """Whether the stream was resumed."""
        context, endpoint = self._context, self.endpoint
        async with asyncio.timeout(LOGIN_TIMEOUT):
            connection, features = await negotiation.authenticate(
                endpoint, self.user, context.load.password, context.load.security, self.tls
            )
            try:
                if await self._resume(connection):
                    return True
                await self._bind(connection, features)
            except BaseException:
                self._announced = None
                connection.abort("the login failed")
                raise
            return False

    async def _resume(self, connection: Connection) -> bool:
        management = self._management
        if management is None or not management.identity:
            return False
        connection.write(stanzas.build_resume_request(management.identity, management.handled % MODULO))
        element = await connection.read()
        if element.name != "resumed":
            management.identity = ""  # this stream is over; the server may say what it had received (section 5)
            if "h" in element.attributes:
                management.acknowledge(element.attributes["h"])
            return False
        management.acknowledge(element.attributes.get("h"))
        self._connection = connection
        connection.dispatch(self._on_message, self._on_element, self._on_lost)
        if unacknowledged := management.prepare_resend():
            connection.write(unacknowledged)
        return True

    async def _bind(self, connection: Connection, features: Element) -> None:
        connection.write(stanzas.build_bind_request(stanzas.RESOURCE))
        bound = await negotiation.expect(connection, "iq")
        if bound.attributes.get("type") != "result":
            raise PeerError(f"{self.user}@{self.endpoint.domain} received no resource: {bound!r}")
        before = self._management.unacknowledged if self._management is not None else []
        self._management = await self._enable_management(connection, features)
        self._queue = before + self._queue
        self._connection = connection
        connection.dispatch(self._on_message, self._on_element, self._on_lost)
        await self._announce(stanzas.AVAILABLE)
        queue, self._queue = self._queue, []
        for stanza in queue:
            self.send(stanza)

    async def _enable_management(self, connection: Connection, features: Element) -> StreamManagement | None:
        offered = {(child.name, child.attributes.get("xmlns")) for child in features.children}  # often of two versions
        if not self._context.load.resumption or ("sm", stanzas.STREAM_MANAGEMENT) not in offered:
            return None
        connection.write(stanzas.ENABLE)
        # Stanzas to the resource may precede the answer: a room may still have it as an occupant.
        while (enabled := await connection.read()).name in ("message", "presence", "iq"):
            if enabled.name == "message" and enabled.attributes.get("type") != "error":
                self._on_message(enabled.attributes["id"])
            else:
                self._on_element(enabled)
        if enabled.name != "enabled":
            raise PeerError(f"the server answers {enabled!r} where 'enabled' was due")
        resumes = enabled.attributes.get("resume") in ("true", "1")
        return StreamManagement(enabled.attributes.get("id", "") if resumes else "")

    async def _announce(self, presence: bytes) -> None:
        """Send presence; returns once the server has processed it. Raises PeerError if the connection breaks.

        An acknowledgement says so, or without stream management the answer to a ping that follows the presence.
        """
        self.send(presence, during_logout=True)
        connection, management = self._connection, self._management
        if connection is None or (management is not None and not management.ask()):
            return
        self._announced = asyncio.get_running_loop().create_future()
        connection.write(stanzas.ACK_REQUEST if management is not None else stanzas.PING)
        try:
            await self._announced
        finally:
            self._announced = None

    def _on_acknowledged(self) -> None:
        if self._announced is not None and not self._announced.done():
            self._announced.set_result(None)

    # -- received

    def _on_message(self, identity: str) -> None:
        if self._management is not None:
            self._management.handled += 1
        self._context.on_message(self, identity)

    def _on_element(self, element: Element) -> None:
        name, management = element.name, self._management
        if name in ("iq", "presence", "message"):
            if management is not None:
                management.handled += 1
            kind = element.attributes.get("type")
            if name == "iq" and kind in ("get", "set") and not (kind == "set" and _is_roster_push(element)):
                self.send(stanzas.build_error_reply(element.attributes), during_logout=True)
            elif element.attributes.get("id") == stanzas.PING_ID:
                self._on_acknowledged()
            else:
                self._context.on_stanza(self, element)
        elif name == "r" and management is not None and self._connection is not None:
            self._connection.write(stanzas.build_acknowledgement(management.handled % MODULO))
        elif name == "a" and management is not None:
            management.acknowledge(element.attributes.get("h"))
            self._on_acknowledged()
        elif name == "stream:error" and self._connection is not None:
            self._connection.abort(f"the server ends the stream: {[child.name for child in element.children]}")

    # -- reconnection

    def _on_lost(self, reason: str) -> None:
        if self._connection is None:
            return
        self._connection = None
        if self._announced is not None:  # the login or logout in progress reports it
            if not self._announced.done():
                self._announced.set_exception(PeerError(reason))
        elif not self._logging_out:
            self.reconnect(reason)

    async def _reconnect(self, reason: str) -> None:
        loop, context = asyncio.get_running_loop(), self._context
        deadline, delay = loop.time() + RECONNECT_TIMEOUT, FIRST_DELAY
        while True:
            await asyncio.sleep(delay * context.rng.uniform(0.5, 1.0))
            try:
                resumed = await self._login()
            except (PeerError, OSError, TimeoutError) as error:
                if loop.time() > deadline:
                    context.on_given_up(self, f"{reason}; and there is no way back: {error or type(error).__name__}")
                    return
                delay = min(2 * delay, LONGEST_DELAY)
            else:
                context.on_reconnected(self, resumed)
                return


def _is_roster_push(element: Element) -> bool:
    """Whether a server's request is a roster push (RFC 6121 section 2.1.6)."""
    query = element.find("query")
    return query is not None and query.attributes.get("xmlns") == "jabber:iq:roster"


def _ignore(_: object) -> None:
    """Handles what is received after `disconnect`."""
