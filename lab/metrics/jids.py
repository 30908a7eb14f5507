"""Parts of JIDs as histories have them: prepared already, so that a comparison of texts is one of JIDs (RFC 7622)."""

from __future__ import annotations


def strip_resource(jid: str) -> str:
    """The bare JID: a JID without its resource."""
    return jid.partition("/")[0]


def get_domain(jid: str) -> str:
    """The domainpart of a JID (RFC 7622 section 3.2)."""
    return strip_resource(jid).rpartition("@")[2]
