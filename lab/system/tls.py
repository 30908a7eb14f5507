"""TLS contexts of clients: they trust the lab's authority, or one certificate, and nothing of this machine's."""

from __future__ import annotations

import ssl

#: X509_V_FLAG_NO_CHECK_TIME of OpenSSL, for which Python has no name.
_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)


def client_context(trusted: str) -> ssl.SSLContext:
    """A context that trusts this authority (PEM) alone and checks host names.

    Given the certificate of a server in its place it accepts exactly that one, whatever is wrong with it. Raises
    ssl.SSLError if it is neither, ValueError for an empty text.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=trusted)
    if not context.cert_store_stats()["x509_ca"]:
        context.check_hostname = False
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    return context
