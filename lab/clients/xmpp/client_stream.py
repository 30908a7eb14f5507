"""The XML stream of a device: slixmpp's client, limited to one stream, with errors that are reported.

What differs from slixmpp's defaults, and why:
- One TLS context per authority and process; the system's certificates are never loaded (65 ms a login).
- Direct TLS is not tried: the address given is the one to speak to, by STARTTLS (RFC 6120 section 5).
- No second attempt and no reconnecting: a test must see what broke.
- An error in a handler is reported; slixmpp would drop it.
- Subscription requests are not answered.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree as ET

from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0198.stream_management import MAX_SEQ
from slixmpp.stanza import Iq, Message, Presence

from lab.clients.xmpp import scram  # noqa: F401 - registers the mechanism
from lab.clients.xmpp.parser import PromptParser
from lab.clients.xmpp.server_stream import format_element
from lab.clients.xmpp.stanzas import CLIENT, STANZAS
from lab.errors import PeerError, UserError
from lab.system.tls import client_context

#: How long a server may take to close its side after we closed ours, in seconds.
CLOSING = 2.0

#: Seconds until an unanswered IQ is forgotten; those who ask have shorter limits of their own.
ANSWER = 600.0

_KINDS: dict[str, Any] = {f"{{{CLIENT}}}{kind.name}": kind for kind in (Message, Presence, Iq)}

_STEPS = {
    "connected": "connected, waiting for TLS",
    "tls_success": "TLS is up, waiting for authentication",
    "auth_success": "authenticated, waiting for the resource",
    "session_bind": "bound, waiting for the session",
}


@lru_cache(maxsize=64)
def make_tls_context(authority: str) -> ssl.SSLContext:
    """The TLS context that trusts this authority, or this certificate of a server; see lab.system.tls."""
    try:
        return client_context(authority)
    except ssl.SSLError as error:
        raise UserError(f"authority: not a certificate in PEM form ({error.reason or error})") from error


class ClientStream(ClientXMPP):
    """One client stream (RFC 6120). `trouble` is called with every error that no caller waits for."""

    def __init__(
        self, jid: str, password: str, context: ssl.SSLContext, trouble: Callable[[str], None], *,
        resumable: bool = False,
    ) -> None:  # fmt: skip
        """With `resumable` the server is asked to keep the stream when its connection is lost (XEP-0198 section 5)."""
        super().__init__(jid, password, ssl_context=context)
        self.enable_direct_tls = False
        self.whitespace_keepalive = False
        self.roster.auto_authorize = None  # type: ignore[assignment]  # None: ask nobody, answer nobody
        self.roster.auto_subscribe = False
        self.trouble = trouble
        self._waiting: list[str | bytes] | None = None  # while the connection is stalled: what is to be sent
        self._sender: asyncio.Task[Any] | None = None
        #: Called with each stanza that is received ("in") or sent ("out"): its direction and its XML.
        self.on_stanza: Callable[[str, str], None] = lambda direction, xml: None
        self.step = "opening the connection"  # how far this stream is opened, for people
        self.refusal = ""  # what the server said when it closed the stream or refused the login
        self.max_redirects = -1  # see-other-host is an error like others
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0198", {"allow_resume": resumable})
        self.register_plugin("xep_0199")
        self.acknowledged: Callable[[], None] = lambda: None  # called after each acknowledgement that is sent
        management: Any = self.plugin["xep_0198"]
        self._send_ack: Callable[[], None] = management.send_ack
        self._delay = 0.0  # seconds by which acknowledgements are late
        self._late: deque[asyncio.TimerHandle] = deque()  # those that are not sent yet
        management.send_ack = self._acknowledge
        for event, step in _STEPS.items():
            self.add_event_handler(event, functools.partial(self._on_step, step))

        self.add_event_handler("stream_error", self._on_stream_error)
        self.add_filter("in", functools.partial(self._pass, "in"))
        self.add_filter("in", self._read_answer)
        self.add_filter("out_sync", functools.partial(self._pass, "out"))

    def _pass(self, direction: str, stanza: Any) -> Any:
        """A filter that returns what it is given."""
        if isinstance(stanza, Message | Presence | Iq):
            self.on_stanza(direction, format_element(stanza.xml, CLIENT))
        return stanza

    def _read_answer(self, stanza: Any) -> Any:
        """A filter for answers to requests without `to`: some servers give them the asker's own full JID as sender.

        It means the account (RFC 6120 section 10.3.3), and nobody but the own server can write it; slixmpp, which takes
        the bare JID or none, would wait for ever.
        """
        answers = isinstance(stanza, Iq) and stanza["type"] in ("result", "error")
        if answers and stanza["from"].resource and stanza["from"] == self.boundjid:
            del stanza["from"]
        return stanza

    def _acknowledge(self) -> None:
        """Acknowledge all stanzas received until now (XEP-0198 section 4), or do so later."""
        if not self._delay:
            self._send_ack()
            self.acknowledged()
            return
        self._late.append(asyncio.get_running_loop().call_later(self._delay, self._acknowledge_late))

    def _acknowledge_late(self) -> None:
        self._late.popleft()  # all are equally late, so the first is due first
        self._send_ack()
        self.acknowledged()

    def delay_acknowledgements(self, delay: float) -> None:
        """From now on acknowledge so many seconds late; what is due by then, at once."""
        self._delay, due = delay, bool(self._late)
        self._forget_acknowledgements()
        if due:
            self._send_ack()
            self.acknowledged()

    def _forget_acknowledgements(self) -> None:
        for one in self._late:
            one.cancel()
        self._late.clear()

    @property
    def resumable(self) -> bool:
        """Whether the server keeps the stream when its connection is lost (XEP-0198 section 5)."""
        management = self.plugin["xep_0198"]
        return bool(management.allow_resume and management.sm_id)

    def init_parser(self) -> None:
        """slixmpp calls this for each new stream."""
        super().init_parser()
        self.parser = PromptParser()

    def _on_stream_error(self, error: Any) -> None:
        self.refusal = f"stream error {error['condition']}"

    def exception(self, exception: Exception) -> None:
        """slixmpp calls this with what a handler raised."""
        self.trouble(f"{type(exception).__name__} in a stanza handler: {exception}")

    async def run_filters(self) -> None:
        """slixmpp's sending loop; remembered, since slixmpp never ends it."""
        self._sender = asyncio.current_task()
        await super().run_filters()

    def _on_step(self, step: str, _: object) -> None:
        self.step = step

    async def open(self, host: str, port: int) -> None:
        """Connect, authenticate, bind. Raises PeerError with the reason; given up, it leaves nothing behind."""
        await self._opened("session_start", {}, host, port)

    async def resume(self, host: str, port: int) -> None:
        """Connect, authenticate, resume (XEP-0198 section 5): what was not acknowledged is sent once more.

        Raises PeerError if the server has not kept the stream; then, and given up, it leaves nothing behind.
        """
        self.refusal = ""
        refused = "sm_failed"
        await self._opened("session_resumed", {refused: "the server has not kept the stream"}, host, port)

    def stall(self) -> None:
        """Let no byte pass: what is received stays with the transport, what is sent waits here."""
        if self._waiting is None and self.transport is not None:
            self._waiting = []
            self.transport.pause_reading()

    def release(self) -> None:
        """Let bytes pass again, those that waited first."""
        waiting, self._waiting = self._waiting, None
        if waiting is None or self.transport is None:
            return
        for data in waiting:
            super().send_raw(data)
        self.transport.resume_reading()

    def send_raw(self, data: str | bytes) -> None:
        """slixmpp calls this with all that is to be sent."""
        if self._waiting is None:
            super().send_raw(data)
        else:
            self._waiting.append(data)

    def drop(self) -> None:
        """Drop the connection without closing the stream."""
        self._waiting = None
        self._forget_acknowledgements()
        self.abort()

    async def _opened(self, done: str, failures: dict[str, str], host: str, port: int) -> None:
        """Connect, and wait for an event of slixmpp's, or one of those that are failures."""
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        where = f"{self.boundjid.bare} at {host}:{port}"

        def fail(reason: str) -> None:
            if not started.done():
                started.set_exception(PeerError(f"{where}: {reason}"))

        def closed(reason: object) -> None:
            fail(f"the stream was closed ({self.refusal or reason or 'no reason given'}); it was {self.step}")

        handlers: dict[str, Callable[[Any], None]] = {
            done: lambda _: None if started.done() else started.set_result(None),
            "connection_failed": lambda error: fail(f"no connection is accepted ({error})"),
            "ssl_invalid_chain": lambda error: fail(f"the server's certificate is not accepted ({error})"),
            "failed_auth": lambda stanza: setattr(self, "refusal", f"login refused: {stanza['condition']}"),
            "failed_all_auth": lambda _: fail(self.refusal or "no login mechanism in common"),
            "disconnected": closed,
        }
        for event, reason in failures.items():
            handlers[event] = functools.partial(lambda reason, _: fail(reason), reason)
        for event, handler in handlers.items():
            self.add_event_handler(event, handler)
        try:
            self.connect(host, port)
            await started
        except BaseException:
            await self.abandon()
            raise
        finally:
            for event, handler in handlers.items():
                self.del_event_handler(event, handler)

    async def ask(self, kind: str, payload: ET.Element, to: str | None = None) -> ET.Element:
        """Send an IQ of this kind ("get", "set"); the result's XML. Raises Refused for an error."""
        attributes = {"type": kind, "id": self.new_id(), **({} if to is None else {"to": to})}
        xml = ET.Element(f"{{{self.default_ns}}}iq", attributes)
        xml.append(payload)
        try:
            return await self.exchange(xml)
        except IqError as error:
            raise Refused(f"{kind} {payload.tag} to {to or self.boundjid.bare}", error) from error

    async def ask_while_connected(self, kind: str, payload: ET.Element, to: str) -> None:
        """As `ask`, but PeerError is raised as soon as the connection is lost."""
        gone, answer = self.disconnected, asyncio.ensure_future(self.ask(kind, payload, to))
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise PeerError(f"{self.boundjid}: the connection is lost")
            await answer
        finally:
            answer.cancel()

    async def exchange(self, iq: ET.Element) -> ET.Element:
        """Send this IQ as it is; the result's XML. Raises slixmpp's IqError for an error."""
        answer: Iq = await Iq(self, xml=iq).send(timeout=ANSWER)  # type: ignore[no-untyped-call]
        return answer.xml

    def write(self, xml: str) -> list[ET.Element]:
        """Put this text on the stream as it is, and return the whole stanzas in it.

        They are counted for stream management (XEP-0198). Raises PeerError if the stream is gone.
        """
        if not self.is_connected():
            raise PeerError(f"{self.boundjid}: the stream is gone")
        self.send_raw(xml)
        management = self.plugin["xep_0198"]
        stanzas = _whole_stanzas(xml)
        for stanza in stanzas if management.enabled_out else ():
            management.seq = (management.seq + 1) % MAX_SEQ
            management.unacked_queue.append((management.seq, _KINDS[stanza.tag](self, xml=stanza)))
        for stanza in stanzas:
            self.on_stanza("out", xml if len(stanzas) == 1 else format_element(stanza, CLIENT))
        return stanzas

    async def flushed(self) -> None:
        """Return once all stanzas queued until now are with the transport. Raises PeerError if the stream is gone."""
        gone = self.disconnected
        queue = asyncio.ensure_future(self.waiting_queue.join())
        try:
            await asyncio.wait({queue, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            queue.cancel()
        if not self.is_connected():
            raise PeerError(f"{self.boundjid}: the stream is closed")

    async def shut(self) -> None:
        """Close the stream; returns once the server has closed its side, or has been given up."""
        if self.is_connected():
            # or the server stores what it has delivered, and delivers it once more
            self._send_ack()
            await self.disconnect(wait=CLOSING)
        await self.abandon()

    async def abandon(self) -> None:
        """Drop everything of this stream at once."""
        self._waiting = None
        self._forget_acknowledgements()
        self.cancel_connection_attempt()
        self.abort()
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait([self._sender])
            self._sender = None


def _whole_stanzas(xml: str) -> list[ET.Element]:
    try:
        root = ET.fromstring(f'<x xmlns="{CLIENT}">{xml}</x>')  # noqa: S314 - the caller's own text
    except ET.ParseError:
        return []
    return [one for one in root if one.tag in _KINDS]


class Refused(PeerError):
    """An IQ was answered with an error; `condition` and `xml` tell which, `reason` for people."""

    def __init__(self, what: str, error: IqError) -> None:
        condition = str(error.condition)
        self.xml: ET.Element = error.iq.xml
        text = f" ({error.text})" if error.text else ""
        self.reason = condition + "".join(f", {one}" for one in _specific_conditions(self.xml))
        super().__init__(f"{what}: {self.reason}{text}, says {error.iq['from'] or 'the own server'}", condition)


def _specific_conditions(iq: ET.Element) -> list[str]:
    """The application-specific conditions of an error (RFC 6120 section 8.3.4)."""
    found = [child.tag[1:].partition("}") for error in iq.iter(f"{{{CLIENT}}}error") for child in error]
    return [name for namespace, _, name in found if namespace != STANZAS]
