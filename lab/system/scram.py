"""Keys of SCRAM, which servers store and clients prove to know (RFC 5802 section 3; SCRAM-SHA-256 is RFC 7677).

    SaltedPassword  := Hi(Normalize(password), salt, i)
    ClientKey       := HMAC(SaltedPassword, "Client Key")
    StoredKey       := H(ClientKey)
    ServerKey       := HMAC(SaltedPassword, "Server Key")

Passwords of a lab are ASCII, which SASLprep does not change, so that nothing is normalised here. `digest` is always the
name of the hash in hashlib: "sha1" or "sha256".
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

#: Stored derivations: a lab has one or two; a foreign server that salts each account has as many as users.
CACHE_SIZE = 4096


@lru_cache(maxsize=CACHE_SIZE)
def derive_password(digest: str, password: bytes, salt: bytes, iterations: int) -> bytes:
    """Hi(password, salt, iterations) of RFC 5802 section 2.2, which is PBKDF2 with HMAC.

    The result is cached, as RFC 5802 section 3 suggests to clients: all accounts of a lab share password and salt, so
    that any number of logins costs one derivation.
    """
    return hashlib.pbkdf2_hmac(digest, password, salt, iterations)


def compute_client_key(digest: str, salted: bytes) -> bytes:
    """ClientKey of a salted password, which the client's proof contains."""
    return hmac.digest(salted, b"Client Key", digest)


def compute_stored_key(digest: str, salted: bytes) -> bytes:
    """StoredKey of a salted password, with which a server verifies a proof."""
    return hashlib.new(digest, compute_client_key(digest, salted)).digest()


def compute_server_key(digest: str, salted: bytes) -> bytes:
    """ServerKey of a salted password, with which a server signs its last message."""
    return hmac.digest(salted, b"Server Key", digest)
