"""Slots and files of HTTP File Upload, against a server that says what it is told to."""

import asyncio
import ssl
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from lab.clients import http_files
from lab.clients.xmpp.client_stream import make_tls_context
from lab.errors import PeerError, UserError
from lab.network.authority import Authority
from lab.plan.model import CertificateRequest
from lab.topology.spec import Certificate

SLOT = (
    "<iq xmlns='jabber:client' type='result'><slot xmlns='urn:xmpp:http:upload:0'>"
    "<put url='https://upload.a.test/put'><header name='Authorization'>Basic x</header>"
    "<header name='Host'>elsewhere</header><header name='Cookie'>a&#10;X: y</header></put>"
    "<get url='https://upload.a.test/get'/></slot></iq>"
)


def test_a_slot_gives_the_fields_that_are_allowed() -> None:
    put, get, fields = http_files.read_slot(ET.fromstring(SLOT))
    assert (put, get) == ("https://upload.a.test/put", "https://upload.a.test/get")
    assert fields == [("Authorization", "Basic x")]
    with pytest.raises(PeerError, match="without a slot"):
        http_files.read_slot(ET.fromstring("<iq/>"))


def test_a_host_is_a_servers_or_below_one() -> None:
    addresses = {"a.test": "127.0.0.1"}
    assert http_files.find_address("a.test", addresses) == http_files.find_address("upload.a.test", addresses)
    for host in ("b.test", "xa.test", ""):
        with pytest.raises(UserError, match="is no host of this lab"):
            http_files.find_address(host, addresses)


async def test_a_file_comes_from_a_host_with_a_certificate_for_it_only(tmp_path: Path) -> None:
    authority = Authority.generate("lab")
    authority.issue(CertificateRequest("a.test", ("upload.a.test",), Certificate.VALID), tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certs" / "a.test.crt", tmp_path / "certs" / "a.test.key")
    requests = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    addresses = {"a.test": "127.0.0.1", "b.test": "127.0.0.1"}
    trusted = make_tls_context(authority.pem.decode())
    async with server:
        assert await http_files.get(f"https://upload.a.test:{port}/x y?z=1", addresses, trusted) == b"abcde"
        assert requests[0].startswith(b"GET /x%20y?z=1 HTTP/1.1\r\nHost: upload.a.test:")
        for url, context in (
            (f"https://b.test:{port}/x", trusted),
            (f"https://upload.a.test:{port}/x", make_tls_context(Authority.generate("another").pem.decode())),
        ):
            with pytest.raises(PeerError, match="the certificate is not accepted"):
                await http_files.get(url, addresses, context)
        with pytest.raises(PeerError, match="wants https"):
            await http_files.get(f"http://upload.a.test:{port}/x", addresses, trusted)
    assert len(requests) == 1
