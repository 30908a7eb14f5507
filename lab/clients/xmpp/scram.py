"""SCRAM (RFC 5802, RFC 7677) at the price of one key derivation per password, not one per login.

slixmpp derives the salted password in a Python loop: 4096 iterations cost about 60 ms of CPU at every login.
`lab.system.scram.derive_password` uses hashlib and caches the result; the iterations and the exchange are those of the
standard.

Importing this module registers the mechanism with slixmpp, in place of its own, for the whole process.
"""

from __future__ import annotations

import secrets

from slixmpp.util.sasl.client import sasl_mech
from slixmpp.util.sasl.mechanisms import SCRAM

from lab.system.scram import derive_password

#: Above slixmpp's own score for SCRAM (60), below EXTERNAL (100).
SCORE = 61


@sasl_mech(SCORE)
class FastScram(SCRAM):
    """SCRAM-* and SCRAM-*-PLUS with a cached derivation and a nonce from the system's random source."""

    def Hi(self, text: str | bytes, salt: bytes, iterations: int) -> bytes:  # noqa: N802 - the RFC's name
        """The salted password; see `derive_password`."""
        password = text.encode() if isinstance(text, str) else text
        digest = self.hash_name.lower().replace("-", "")  # "SHA-256" -> "sha256", as hashlib has it
        return derive_password(digest, password, salt, iterations)

    def process_1(self, challenge: bytes) -> bytes:
        """The client's first message. slixmpp draws its nonce from `random`; RFC 5802 wants it unpredictable."""
        first = super().process_1(challenge)
        nonce = secrets.token_urlsafe(18).encode()
        bare = self.client_first_message_bare.removesuffix(self.cnonce) + nonce
        self.cnonce, self.client_first_message_bare = nonce, bare
        self.client_first_message = first[: len(self.gs2_header)] + bare
        return bytes(self.client_first_message)
