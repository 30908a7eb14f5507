"""The upload of a file to the slot that a server gave for it (XEP-0363 section 6): one PUT, without an HTTP library."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import urlsplit

from lab.errors import PeerError
from lab.load.client.xml_stream import Element

TIMEOUT = 30.0  # seconds for connection, request and response

#: HTTP headers that a server may ask for (XEP-0363 section 5); a value with a line break in it is an attack.
_HEADERS = ("authorization", "cookie", "expires")


async def upload(slot: Element, host: str, context: ssl.SSLContext | None, data: bytes) -> None:
    """Upload data to a slot at the address `host`. Raises PeerError if it is refused, OSError, TimeoutError."""
    place = next((element for element in slot.walk() if element.name == "put"), None)
    url = urlsplit(place.attributes.get("url", "") if place else "")
    if place is None or not url.hostname or url.scheme not in ("https", "http"):
        raise PeerError(f"no place to upload to in {slot!r}")
    path = f"{url.path}?{url.query}" if url.query else url.path
    lines = [
        f"PUT {path} HTTP/1.1",
        f"Host: {url.netloc}",
        "Connection: close",
        "Content-Type: application/octet-stream",
    ]
    lines += [f"Content-Length: {len(data)}", *_requested_headers(place)]
    request = "\r\n".join([*lines, "", ""]).encode()
    secure = context if url.scheme == "https" else None
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection(
            host, url.port or (443 if secure else 80), ssl=secure, server_hostname=url.hostname if secure else None
        )
        try:
            writer.write(request + data)
            status = (await reader.readline()).split()
        finally:
            writer.transport.abort()
    if len(status) < 2 or not status[1].startswith(b"2"):
        raise PeerError(f"upload refused: {b' '.join(status).decode(errors='replace')}")


def _requested_headers(place: Element) -> list[str]:
    pairs = [(child.attributes.get("name", ""), child.text) for child in place.children if child.name == "header"]
    return [f"{name}: {value}" for name, value in pairs if name.lower() in _HEADERS and not {"\r", "\n"} & {*value}]
