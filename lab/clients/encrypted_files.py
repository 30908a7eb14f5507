"""Files that are encrypted before they are uploaded (XEP-0454). Pure.

The key is in the fragment of an aesgcm:// URL: 12 bytes of initialization vector, then the 32 bytes of an AES-256 key,
in hex. It belongs into an encrypted message; a fragment is no part of what is asked of an HTTP server (RFC 9110 section
7.1), and the file is fetched from the same address with https.
"""

from __future__ import annotations

import secrets
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lab.errors import PeerError, UserError

SCHEME = "aesgcm"
IV = 12  # bytes
KEY = 32  # bytes


def encrypt(data: bytes) -> tuple[bytes, str]:
    """What is uploaded, 16 bytes longer than the file, and the fragment that opens it."""
    key, iv = AESGCM.generate_key(8 * KEY), secrets.token_bytes(IV)
    return AESGCM(key).encrypt(iv, data, None), (iv + key).hex()


def decrypt(data: bytes, url: str) -> bytes:
    """The file behind an aesgcm:// URL. Raises UserError without a key, PeerError where it does not open the file."""
    opener = _read_opener(url)
    try:
        return AESGCM(opener[IV:]).decrypt(opener[:IV], data, None)
    except InvalidTag:
        raise PeerError(f"{strip_key(url)}: the key does not open this file, or it was changed (XEP-0454)") from None


def check(url: str) -> None:
    """Raises UserError for an aesgcm:// URL without a key."""
    if is_encrypted(url):
        _read_opener(url)


def _read_opener(url: str) -> bytes:
    try:
        opener = bytes.fromhex(urlsplit(url).fragment)
    except ValueError:
        opener = b""
    if len(opener) != IV + KEY:  # the fragment is a secret: it is not quoted
        raise UserError(f"fetch: the fragment of {strip_key(url)} must be 12 bytes of IV and 32 of key, in hex")
    return opener


def add_key(url: str, fragment: str) -> str:
    """The aesgcm:// URL of an uploaded file."""
    return urlsplit(url)._replace(scheme=SCHEME, fragment=fragment).geturl()


def strip_key(url: str) -> str:
    """The URL that an HTTP server is asked for: without fragment, and https in place of aesgcm."""
    parts = urlsplit(url)
    return parts._replace(scheme="https" if parts.scheme == SCHEME else parts.scheme, fragment="").geturl()


def is_encrypted(url: str) -> bool:
    """Whether a URL is that of an encrypted file."""
    return urlsplit(url).scheme == SCHEME


def key_of(url: str) -> str:
    """The key in an aesgcm:// URL, in hex as it stands there."""
    return urlsplit(url).fragment[2 * IV :]


def choose_name(name: str) -> str:
    """A random name with the same suffix: that of a file tells what is in it (XEP-0454 section 4)."""
    return secrets.token_hex(16) + PurePosixPath(name).suffix
