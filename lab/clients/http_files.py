"""Files of HTTP File Upload (XEP-0363): PUT to a slot, GET from wherever it is, without an HTTP library.

The certificate is checked against the lab's authority and the URL's host; the connection goes to an address of the lab.
"""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import Mapping, Sequence
from http.client import HTTPException, HTTPResponse
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

from lab.errors import PeerError, UserError

if TYPE_CHECKING:
    import socket

UPLOAD = "urn:xmpp:http:upload:0"
DISCO_ITEMS = "http://jabber.org/protocol/disco#items"
DISCO_INFO = "http://jabber.org/protocol/disco#info"

#: What may stand in a request's target as it is (RFC 3986 section 2): all else is escaped.
_IN_TARGET = "/?%:@!$&'()*+,;=-._~"

#: Header fields that a slot may give, for the PUT (section 5).
ALLOWED = ("authorization", "cookie", "expires")


def build_slot_request(name: str, size: int, kind: str) -> ET.Element:
    """The IQ's payload that asks for a slot (section 5)."""
    return ET.Element(f"{{{UPLOAD}}}request", {"filename": name, "size": str(size), "content-type": kind})


def read_slot(answer: ET.Element) -> tuple[str, str, list[tuple[str, str]]]:
    """Where to PUT, where to GET, and the header fields of the PUT. Raises PeerError for what is no slot."""
    slot = answer.find(f"{{{UPLOAD}}}slot")
    put = None if slot is None else slot.find(f"{{{UPLOAD}}}put")
    get = None if slot is None else slot.find(f"{{{UPLOAD}}}get")
    if put is None or get is None or not put.get("url") or not get.get("url"):
        raise PeerError("the upload service answers without a slot (XEP-0363 section 5)")
    fields = [(one.get("name", ""), (one.text or "").strip()) for one in put.iterfind(f"{{{UPLOAD}}}header")]
    allowed = [(name, value) for name, value in fields if name.lower() in ALLOWED and not {"\r", "\n"} & {*value}]
    return put.get("url", ""), get.get("url", ""), allowed


def read_services(answer: ET.Element) -> list[str]:
    """The JIDs of the items in an answer of service discovery (XEP-0030 section 4)."""
    return [one.get("jid", "") for one in answer.iterfind(f"{{{DISCO_ITEMS}}}query/{{{DISCO_ITEMS}}}item")]


def offers_upload(answer: ET.Element) -> bool:
    """Whether an answer of service discovery has the feature (section 4)."""
    features = answer.iterfind(f"{{{DISCO_INFO}}}query/{{{DISCO_INFO}}}feature")
    return any(one.get("var") == UPLOAD for one in features)


async def put(
    url: str, data: bytes, kind: str, fields: Sequence[tuple[str, str]], addresses: Mapping[str, str],
    context: ssl.SSLContext,
) -> None:  # fmt: skip
    """Upload to a slot. Raises PeerError if the server does not answer 201 or 200 (section 6)."""
    head = [("Content-Type", kind), ("Content-Length", str(len(data))), *fields]
    answer = await _exchange("PUT", url, head, data, addresses, context)
    if answer.status not in (200, 201):
        raise PeerError(f"PUT {url}: {answer.status} {answer.reason}")


async def get(url: str, addresses: Mapping[str, str], context: ssl.SSLContext) -> bytes:
    """The file. Raises PeerError if the server does not answer 200."""
    answer = await _exchange("GET", url, [], b"", addresses, context)
    if answer.status != 200:
        raise PeerError(f"GET {url}: {answer.status} {answer.reason}")
    return answer.read()


async def _exchange(
    method: str, url: str, head: Sequence[tuple[str, str]], data: bytes, addresses: Mapping[str, str],
    context: ssl.SSLContext,
) -> HTTPResponse:  # fmt: skip
    """Ask once, on a connection of its own."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        raise PeerError(f"{url}: XEP-0363 section 6 wants https")
    address = find_address(host, addresses)
    try:
        reader, writer = await asyncio.open_connection(address, parts.port or 443, ssl=context, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        raise PeerError(f"{method} {url}: the certificate is not accepted ({error.verify_message})") from error
    except OSError as error:
        raise PeerError(f"{method} {url}: no connection ({error})") from error
    target = quote(parts._replace(scheme="", netloc="", fragment="").geturl() or "/", safe=_IN_TARGET)
    fields = [("Host", parts.netloc), ("Connection", "close"), *head]
    try:
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        writer.write("\r\n".join([*lines, "", ""]).encode() + data)
        await writer.drain()
        return _read_response(await reader.read(-1), method)
    except (OSError, HTTPException) as error:
        raise PeerError(f"{method} {url}: {error or type(error).__name__}") from error
    finally:
        writer.close()


def find_address(host: str, addresses: Mapping[str, str]) -> str:
    """The address of a host, which is a server's domain or below one. Raises UserError for any other."""
    for domain, address in addresses.items():
        if host == domain or host.endswith(f".{domain}"):
            return address
    raise UserError(f"{host} is no host of this lab: there are {', '.join(addresses)}")


def _read_response(received: bytes, method: str) -> HTTPResponse:
    connection = SimpleNamespace(makefile=lambda *_, **__: io.BytesIO(received))  # one that has ended
    response = HTTPResponse(cast("socket.socket", connection), method=method)
    response.begin()
    return response
