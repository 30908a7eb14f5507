"""SASL without input or output: SCRAM (RFC 5802, RFC 7677), and PLAIN (RFC 4616) for a server without SCRAM.

The server's signature is verified. Channel binding is not used: the engine measures servers, and treats all of them
alike. lab.clients.xmpp.scram is the SCRAM mechanism of slixmpp, which a load worker must not import.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable

from lab.errors import PeerError
from lab.system.scram import compute_client_key, compute_server_key, compute_stored_key, derive_password

#: SCRAM mechanisms with their hash, the preferred one first.
MECHANISMS = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}

#: "No channel binding" (RFC 5802 section 7), and its base64, which the final message repeats.
GS2_HEADER = "n,,"
_CHANNEL_BINDING = b64encode(GS2_HEADER.encode()).decode()

#: Iterations that a server may ask for: more would make one login a denial of service.
MOST_ITERATIONS = 1_000_000


def choose_mechanism(offered: Iterable[str]) -> str:
    """The best mechanism of those a server offers. Raises PeerError if none of them is SCRAM or PLAIN."""
    names = set(offered)
    for name in (*MECHANISMS, "PLAIN"):
        if name in names:
            return name
    raise PeerError(f"no way to log in: the server offers {', '.join(sorted(names)) or 'nothing'}")


def build_plain_message(user: str, password: str) -> bytes:
    """The message of PLAIN (RFC 4616 section 2)."""
    return f"\0{user}\0{password}".encode()


class ScramClient:
    """One exchange: `first_message`, then `final_message(challenge)`, then `verify_server(success)`."""

    def __init__(self, mechanism: str, user: str, password: str, nonce: str = "") -> None:
        self._digest = MECHANISMS[mechanism]
        self._password = password.encode()
        self._nonce = nonce or secrets.token_urlsafe(18)
        self._bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={self._nonce}"
        self._server_signature = b""

    @property
    def first_message(self) -> bytes:
        """The client-first-message."""
        return (GS2_HEADER + self._bare).encode()

    def final_message(self, challenge: bytes) -> bytes:
        """The client-final-message. Raises PeerError for a challenge that breaks RFC 5802."""
        text = challenge.decode(errors="replace")
        attributes = _attributes(text)
        try:
            nonce, salt = attributes["r"], b64decode(attributes["s"], validate=True)
            iterations = int(attributes["i"])
        except (KeyError, ValueError) as error:
            raise PeerError(f"the server's challenge is not SCRAM's: {text!r}") from error
        if not nonce.startswith(self._nonce) or nonce == self._nonce or not 0 < iterations <= MOST_ITERATIONS:
            raise PeerError(f"the server's challenge breaks RFC 5802: {text!r}")
        digest, salted = self._digest, derive_password(self._digest, self._password, salt, iterations)
        without_proof = f"c={_CHANNEL_BINDING},r={nonce}"
        auth_message = f"{self._bare},{text},{without_proof}".encode()
        self._server_signature = hmac.digest(compute_server_key(digest, salted), auth_message, digest)
        client_signature = hmac.digest(compute_stored_key(digest, salted), auth_message, digest)
        proof = bytes(a ^ b for a, b in zip(compute_client_key(digest, salted), client_signature, strict=True))
        return f"{without_proof},p={b64encode(proof).decode()}".encode()

    def verify_server(self, success: bytes) -> None:
        """Check that the server has the password too. Raises PeerError if not."""
        signature = _attributes(success.decode(errors="replace")).get("v", "")
        if not hmac.compare_digest(signature.encode(), b64encode(self._server_signature)):
            raise PeerError("the server does not prove that it knows the password")


def _attributes(text: str) -> dict[str, str]:
    return dict(attribute.partition("=")[::2] for attribute in text.split(","))
