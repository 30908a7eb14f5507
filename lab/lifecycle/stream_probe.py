"""What a server that the lab does not know does with a stream (RFC 6120 section 4); asked where it is not ready."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl

from lab.network.ready_file import server_endpoint
from lab.plan.model import ServerPlan

PATIENCE = 2.0  # seconds for each answer
_MOST = 16_384  # bytes read
_HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
    "to='{domain}' version='1.0'>"
)
_CONDITION = re.compile(rb"<([a-z-]+)[^<>]*xmlns=['\"]urn:ietf:params:xml:ns:xmpp-streams")


async def find_certificate(server: ServerPlan) -> bytes | None:
    """The certificate (DER) that a server shows to other servers after STARTTLS; None if it shows none."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is looked at, whatever it is
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(*server_endpoint(server))
            writer.write(_HEADER.format(domain=server.spec.domain).encode())
            await reader.readuntil(b"</stream:features>")
            writer.write(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            await reader.readuntil(b">")
            await writer.start_tls(context, server_hostname=server.spec.domain)
            found: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            return found
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return None
    finally:
        if writer is not None:
            writer.transport.abort()  # all has been seen
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def describe_fault(server: ServerPlan) -> str:
    """What is wrong with a server's answer to a stream of another server, "" if nothing is seen to be."""
    host, port = server_endpoint(server)
    name = f"{server.spec.name} at {host}:{port}"
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as error:
        return f"{name} accepts no connection ({getattr(error, 'strerror', None) or 'no answer'})"
    try:
        writer.write(_HEADER.format(domain=server.spec.domain).encode())
        return _fault(name, *await _answer(reader))
    except OSError:
        return f"{name} accepts connections, but resets each"
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    """What it answers until its features or an error are there, and whether it closed the connection."""
    answer = b""
    try:
        async with asyncio.timeout(PATIENCE):
            while not re.search(rb"</stream:(features|error)>|<stream:features/>", answer) and len(answer) < _MOST:
                if not (data := await reader.read(_MOST)):
                    return answer, True
                answer += data
    except TimeoutError:
        pass
    return answer, False


def _fault(name: str, answer: bytes, closed: bool) -> str:
    if not answer:
        how = "closes each without an answer" if closed else f"answers no stream header within {PATIENCE:g} s"
        return f"{name} accepts connections, but {how}"
    if b"<stream:stream" not in answer:
        return f"{name} accepts connections, but answers no XMPP: it sends {answer[:60]!r}"
    if found := _CONDITION.search(answer):
        return f"{name} answers with the stream error {found[1].decode()}"
    if b"features" not in answer:
        return f"{name} opens a stream, but sends no stream features within {PATIENCE:g} s"
    if b"urn:ietf:params:xml:ns:xmpp-tls" not in answer:
        return f"{name} offers no STARTTLS, which the other servers require"
    return ""
