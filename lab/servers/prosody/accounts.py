"""Prosody accounts as files of its internal storage (mod_auth_internal_hashed, mod_storage_internal).

SCRAM-SHA-1 is what Prosody stores unless `password_hash` says otherwise; a device that caches the salted password logs
in equally fast with either hash. Keys are hex, the salt is raw bytes. Writing 1,000 such files takes 0.2 s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lab.servers.software import File, ScramKeys

DATA = "data"


def encode_store_name(text: str) -> str:
    """A host or user name as Prosody writes it in file names: all but ASCII letters and digits as %xx of UTF-8."""
    return re.sub(rb"[^0-9A-Za-z]", lambda found: b"%%%02x" % ord(found[0]), text.encode()).decode()


def render_accounts(domain: str, users: Sequence[str], keys: ScramKeys) -> tuple[File, ...]:
    """One file a user, below data/<domain>/accounts/."""
    stored, server = keys.stored
    text = (
        "return {\n"
        f'\t["iteration_count"] = {keys.iterations};\n'
        f'\t["salt"] = {_quoted(keys.salt)};\n'
        f'\t["server_key"] = "{server.hex()}";\n'
        f'\t["stored_key"] = "{stored.hex()}";\n'
        "};\n"
    )
    folder = f"{DATA}/{encode_store_name(domain)}/accounts"
    return tuple(File(f"{folder}/{encode_store_name(user)}.dat", text) for user in users)


def _quoted(data: bytes) -> str:
    """Bytes as a Lua string."""
    return '"' + "".join(f"\\{byte:03d}" for byte in data) + '"'
