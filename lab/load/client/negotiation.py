"""From nothing to an authenticated stream (RFC 6120 sections 4 to 6, XEP-0368), whatever comes after."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64decode

from lab.errors import PeerError, UserError
from lab.load.client import sasl, stanzas
from lab.load.client.connection import Wire
from lab.load.client.xml_stream import Element
from lab.load.model.spec import Endpoint

SECURITIES = ("starttls", "direct", "none")

#: The protocol's name in direct TLS (XEP-0368 section 4).
ALPN = "xmpp-client"


def context_for(security: str, authority: str) -> ssl.SSLContext | None:
    """The one TLS context of a worker. Raises UserError for a security there is not, or no authority to trust."""
    if security not in SECURITIES:
        raise UserError(f"security {security!r}: use one of {', '.join(SECURITIES)}")
    if security == "none":
        return None
    from lab.load.client.tls import client_context

    try:
        context = client_context(authority)
    except (ssl.SSLError, ValueError) as error:
        raise UserError(f"the load's authority is no certificate in PEM ({error}); TLS needs one") from error
    if security == "direct":
        context.set_alpn_protocols([ALPN])
    return context


async def authenticated(
    endpoint: Endpoint, user: str, password: str, security: str, context: ssl.SSLContext | None
) -> tuple[Wire, Element]:
    """A logged-in stream without a resource, and what the server offers on it.

    Raises PeerError, OSError. Nothing is left open if it fails or is cancelled.
    """
    loop = asyncio.get_running_loop()
    _, wire = await loop.create_connection(Wire, endpoint.host, endpoint.port)
    try:
        return wire, await _authenticated(wire, endpoint, user, password, security, context)
    except BaseException:
        wire.abort("the login failed")
        raise


async def _authenticated(
    wire: Wire, endpoint: Endpoint, user: str, password: str, security: str, context: ssl.SSLContext | None
) -> Element:
    if security == "direct" and context is not None:
        await wire.secure(context, endpoint.domain)
    features = await _opened(wire, endpoint.domain)
    if security == "starttls" and context is not None:
        if features.find("starttls") is None:
            raise PeerError(f"{endpoint.domain} offers no STARTTLS")
        wire.write(stanzas.STARTTLS)
        await expected(wire, "proceed")
        await wire.secure(context, endpoint.domain)
        features = await _opened(wire, endpoint.domain)
    mechanisms = features.find("mechanisms")
    await _prove(wire, user, password, [m.text for m in mechanisms.children] if mechanisms else [])
    return await _opened(wire, endpoint.domain)


async def expected(wire: Wire, name: str) -> Element:
    """The next element, which must have that name. Raises PeerError with what came instead."""
    element = await wire.read()
    if element.name != name:
        raise PeerError(f"the server answers {element!r} where {name!r} was due")
    return element


async def _opened(wire: Wire, domain: str) -> Element:
    wire.open(stanzas.header(domain))
    return await expected(wire, "stream:features")


async def _prove(wire: Wire, user: str, password: str, offered: list[str]) -> None:
    mechanism = sasl.choose(offered)
    if mechanism == "PLAIN":
        wire.write(stanzas.auth(mechanism, sasl.plain(user, password)))
        await expected(wire, "success")
        return
    scram = sasl.Scram(mechanism, user, password)
    wire.write(stanzas.auth(mechanism, scram.first))
    challenge = await expected(wire, "challenge")
    wire.write(stanzas.response(scram.last(_decoded(challenge))))
    scram.verify(_decoded(await expected(wire, "success")))


def _decoded(element: Element) -> bytes:
    try:
        return b64decode(element.text, validate=True)
    except ValueError as error:
        raise PeerError(f"no base64 in {element!r}") from error
