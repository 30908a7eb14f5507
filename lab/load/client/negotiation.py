"""The way to an authenticated stream: TCP, TLS, SASL (RFC 6120 sections 4 to 6, XEP-0368)."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64decode

from lab.errors import PeerError, UserError
from lab.load.client import sasl, stanzas
from lab.load.client.connection import Connection
from lab.load.client.xml_stream import Element
from lab.load.model.spec import Endpoint

SECURITIES = ("starttls", "direct", "none")

#: The name of the protocol in direct TLS (XEP-0368 section 4).
ALPN = "xmpp-client"


def make_tls_context(security: str, trusted: str) -> ssl.SSLContext | None:
    """The TLS context for servers whose certificates this authority (PEM) signed, or for the one that has this one.

    None without TLS. Raises UserError for an unknown security, or for what is no certificate.
    """
    if security not in SECURITIES:
        raise UserError(f"security {security!r}: use one of {', '.join(SECURITIES)}")
    if security == "none":
        return None
    from lab.load.client.tls import load_context

    try:
        context = load_context(trusted)
    except (ssl.SSLError, ValueError) as error:
        raise UserError(f"the load's authority is no certificate in PEM ({error}); TLS needs one") from error
    if security == "direct":
        context.set_alpn_protocols([ALPN])
    return context


async def authenticate(
    endpoint: Endpoint, user: str, password: str, security: str, context: ssl.SSLContext | None
) -> tuple[Connection, Element]:
    """Connect and authenticate; returns the connection, and the features of its stream, which has no resource yet.

    Raises PeerError, OSError. The connection is closed if it fails or is cancelled.
    """
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, endpoint.host, endpoint.port)
    try:
        return connection, await _authenticate(connection, endpoint, user, password, security, context)
    except BaseException:
        connection.abort("the login failed")
        raise


async def _authenticate(
    connection: Connection, endpoint: Endpoint, user: str, password: str, security: str, context: ssl.SSLContext | None
) -> Element:
    if security == "direct" and context is not None:
        await connection.start_tls(context, endpoint.domain)
    features = await _open_stream(connection, endpoint.domain)
    if security == "starttls" and context is not None:
        if features.find("starttls") is None:
            raise PeerError(f"{endpoint.domain} offers no STARTTLS")
        connection.write(stanzas.STARTTLS)
        await expect(connection, "proceed")
        await connection.start_tls(context, endpoint.domain)
        features = await _open_stream(connection, endpoint.domain)
    mechanisms = features.find("mechanisms")
    await _send_credentials(connection, user, password, [m.text for m in mechanisms.children] if mechanisms else [])
    return await _open_stream(connection, endpoint.domain)


async def expect(connection: Connection, name: str) -> Element:
    """The next element, which must have that name. Raises PeerError with what was received instead."""
    element = await connection.read()
    if element.name != name:
        raise PeerError(f"the server answers {element!r} where {name!r} was due")
    return element


async def _open_stream(connection: Connection, domain: str) -> Element:
    connection.open_stream(stanzas.build_stream_header(domain))
    return await expect(connection, "stream:features")


async def _send_credentials(connection: Connection, user: str, password: str, offered: list[str]) -> None:
    mechanism = sasl.choose_mechanism(offered)
    if mechanism == "PLAIN":
        connection.write(stanzas.build_sasl_auth(mechanism, sasl.build_plain_message(user, password)))
        await expect(connection, "success")
        return
    scram = sasl.ScramClient(mechanism, user, password)
    connection.write(stanzas.build_sasl_auth(mechanism, scram.first_message))
    challenge = await expect(connection, "challenge")
    connection.write(stanzas.build_sasl_response(scram.final_message(_decoded(challenge))))
    scram.verify_server(_decoded(await expect(connection, "success")))


def _decoded(element: Element) -> bytes:
    try:
        return b64decode(element.text, validate=True)
    except ValueError as error:
        raise PeerError(f"no base64 in {element!r}") from error
