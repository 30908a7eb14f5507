"""Encrypted files (XEP-0454): the key is in the URL's fragment and nowhere else."""

import asyncio
import ssl
from pathlib import Path

import pytest

from lab.clients import encrypted_files, http_files
from lab.clients.xmpp.client_stream import make_tls_context
from lab.errors import PeerError, UserError
from lab.network.authority import Authority
from lab.plan.model import CertificateRequest
from lab.topology.spec import Certificate

PUT = "https://upload.a.test:5281/slot/name.txt"


@pytest.mark.parametrize("data", [b"", b"hello", bytes(100_000)])
def test_what_is_encrypted_is_decrypted_with_the_url_alone(data: bytes) -> None:
    content, fragment = encrypted_files.encrypt(data)
    url = encrypted_files.add_key(PUT, fragment)
    assert url == f"aesgcm://upload.a.test:5281/slot/name.txt#{fragment}"
    assert len(content) == len(data) + 16
    assert len(fragment) == 2 * (12 + 32) and encrypted_files.key_of(url) == fragment[24:]
    assert encrypted_files.strip_key(url) == PUT
    assert encrypted_files.decrypt(content, url) == data


def test_two_files_have_neither_key_nor_vector_in_common() -> None:
    (one, first), (other, second) = encrypted_files.encrypt(b"hello"), encrypted_files.encrypt(b"hello")
    assert one != other and first[:24] != second[:24] and first[24:] != second[24:]


def test_a_key_of_another_file_or_a_changed_file_is_refused_without_quoting_the_key() -> None:
    content, fragment = encrypted_files.encrypt(b"hello")
    _, other = encrypted_files.encrypt(b"hello")
    for data, key in ((content, other), (content[:-1] + bytes([content[-1] ^ 1]), fragment), (b"", fragment)):
        with pytest.raises(PeerError, match=r"upload\.a\.test.*the key does not open this file") as caught:
            encrypted_files.decrypt(data, encrypted_files.add_key(PUT, key))
        assert key not in str(caught.value)


@pytest.mark.parametrize("fragment", ["", "00", "x" * 88, "0" * 86, "ff" * 45])
def test_a_fragment_that_is_no_key_is_refused_without_quoting_it(fragment: str) -> None:
    with pytest.raises(UserError, match="must be 12 bytes of IV and 32 of key") as caught:
        encrypted_files.check(f"aesgcm://upload.a.test/x#{fragment}")
    assert not fragment or fragment not in str(caught.value)


def test_a_name_keeps_its_suffix_only() -> None:
    names = {encrypted_files.choose_name("love letter.tar.gz") for _ in range(9)}
    assert len(names) == 9 and all(name.endswith(".gz") and "love" not in name for name in names)


async def test_the_host_is_not_told_the_fragment(tmp_path: Path) -> None:
    """A fragment is not sent, whatever the URL that is asked for (RFC 9110 section 7.1)."""
    authority = Authority.generate("lab")
    authority.issue(CertificateRequest("a.test", ("upload.a.test",), Certificate.VALID), tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certs" / "a.test.crt", tmp_path / "certs" / "a.test.key")
    content, fragment = encrypted_files.encrypt(b"hello")
    received: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    port, trusted = server.sockets[0].getsockname()[1], make_tls_context(authority.pem.decode())
    url = encrypted_files.add_key(f"https://upload.a.test:{port}/x.txt", fragment)
    async with server:
        for address in (encrypted_files.strip_key(url), url.replace("aesgcm", "https")):
            found = await http_files.get(address, {"a.test": "127.0.0.1"}, trusted)
            assert encrypted_files.decrypt(found, url) == b"hello"
    assert all(one.startswith(b"GET /x.txt HTTP/1.1\r\n") and fragment[24:].encode() not in one for one in received)
    assert len(received) == 2
