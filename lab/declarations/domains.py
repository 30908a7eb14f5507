"""Internationalized domains: U-labels in files and JIDs (RFC 7622 section 3.2), A-labels in DNS, SNI and certificates.

The mapping is that of RFC 3490, which Prosody, ejabberd, slixmpp and Python's TLS use, not that of RFC 5890.
"""

from __future__ import annotations


def a_labels(domain: str) -> str:
    """The domain in ASCII: "bücher.test" is "xn--bcher-kva.test". Raises UnicodeError for what is no domain."""
    return domain if domain.isascii() else domain.encode("idna").decode()


def u_labels(domain: str) -> str:
    """The domain as people write it, each letter in its normal form. Raises UnicodeError for what is no domain."""
    return a_labels(domain).encode().decode("idna")
