"""Prosody rosters as files of its internal storage (core/rostermanager.lua): everybody subscribed both ways.

Prosody caches the rosters of people who are not online; the lab's mod_lab_rosters empties that cache when the stamp
changes, which is written after the rosters.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from lab.servers.prosody.accounts import DATA, encode_store_name
from lab.servers.prosody.config import STAMP, quote
from lab.servers.software import File


def render_rosters(domain: str, rosters: Mapping[str, Sequence[str]]) -> tuple[File, ...]:
    """One file a user, below data/<domain>/roster/, and the stamp."""
    folder = f"{DATA}/{encode_store_name(domain)}/roster"
    files = (File(f"{folder}/{encode_store_name(user)}.dat", _text(contacts)) for user, contacts in rosters.items())
    return (*files, File(STAMP, secrets.token_hex(8)))


def _text(contacts: Sequence[str]) -> str:
    items = "".join(f'\t[{quote(jid)}] = {{ ["subscription"] = "both"; ["groups"] = {{}}; }};\n' for jid in contacts)
    return f'return {{\n\t[false] = {{ ["version"] = 1; ["pending"] = {{}}; }};\n{items}}};\n'
