"""SCRAM without input or output (RFC 5802, RFC 7677), and PLAIN for a server that has no more.

The salted password is kept per (hash, password, salt, iterations), as RFC 5802 section 3 suggests: all accounts of a
lab share one salt, so that any number of logins costs one derivation. The server's signature is verified.
Channel binding is not used: the engine measures servers, and asks all of them the same.

This stands beside lab.clients.scram, which is a mechanism of slixmpp's: a load worker must not import that.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable
from functools import lru_cache

from lab.errors import PeerError

#: Best first.
MECHANISMS = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}

#: "No channel binding" (RFC 5802 section 7), and its base64, which the last message repeats.
GS2_HEADER = "n,,"
_BOUND = b64encode(GS2_HEADER.encode()).decode()

#: What a server may ask of us: above it one login would be a denial of service.
MOST_ITERATIONS = 1_000_000

#: Kept derivations: a lab has one or two; a foreign server that salts each account has as many as users.
CACHED = 4096


@lru_cache(maxsize=CACHED)
def salted_password(digest: str, password: str, salt: bytes, iterations: int) -> bytes:
    """Hi(password, salt, iterations) of RFC 5802 section 2.2; `digest` is a name hashlib knows ("sha256")."""
    return hashlib.pbkdf2_hmac(digest, password.encode(), salt, iterations)


def choose(offered: Iterable[str]) -> str:
    """The best mechanism of those a server offers. Raises PeerError if none of them is SCRAM or PLAIN."""
    names = set(offered)
    for name in (*MECHANISMS, "PLAIN"):
        if name in names:
            return name
    raise PeerError(f"no way to log in: the server offers {', '.join(sorted(names)) or 'nothing'}")


def plain(user: str, password: str) -> bytes:
    """The one message of PLAIN (RFC 4616)."""
    return f"\0{user}\0{password}".encode()


class Scram:
    """One login: `first`, then `last(challenge)`, then `verify(success)`."""

    def __init__(self, mechanism: str, user: str, password: str, nonce: str = "") -> None:
        self._digest = MECHANISMS[mechanism]
        self._password = password
        self._nonce = nonce or secrets.token_urlsafe(18)
        self._bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={self._nonce}"
        self._signature = b""

    @property
    def first(self) -> bytes:
        """The client's first message."""
        return (GS2_HEADER + self._bare).encode()

    def last(self, challenge: bytes) -> bytes:
        """The client's last message. Raises PeerError for a challenge that is none."""
        text = challenge.decode(errors="replace")
        fields = _fields(text)
        try:
            nonce, salt, iterations = fields["r"], b64decode(fields["s"], validate=True), int(fields["i"])
        except (KeyError, ValueError) as error:
            raise PeerError(f"the server's challenge is not SCRAM's: {text!r}") from error
        if not nonce.startswith(self._nonce) or nonce == self._nonce or not 0 < iterations <= MOST_ITERATIONS:
            raise PeerError(f"the server's challenge breaks RFC 5802: {text!r}")
        salted = salted_password(self._digest, self._password, salt, iterations)
        client_key = hmac.digest(salted, b"Client Key", self._digest)
        without_proof = f"c={_BOUND},r={nonce}"
        signed = f"{self._bare},{text},{without_proof}".encode()
        self._signature = hmac.digest(hmac.digest(salted, b"Server Key", self._digest), signed, self._digest)
        stored = hashlib.new(self._digest, client_key).digest()
        signature = hmac.digest(stored, signed, self._digest)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        return f"{without_proof},p={b64encode(proof).decode()}".encode()

    def verify(self, success: bytes) -> None:
        """Whether the server knows the password too. Raises PeerError if not."""
        said = _fields(success.decode(errors="replace")).get("v", "")
        if not hmac.compare_digest(said.encode(), b64encode(self._signature)):
            raise PeerError("the server does not prove that it knows the password")


def _fields(text: str) -> dict[str, str]:
    return dict(part.partition("=")[::2] for part in text.split(","))
