"""OMEMO as XEP-0384 has specified it since version 0.4: urn:xmpp:omemo:2, with an envelope (XEP-0420)."""

from lab.declarations.encryption import EncryptionDeclaration

_NAMESPACE = "urn:xmpp:omemo:2"

DECLARATION = EncryptionDeclaration(
    name="omemo:2",
    about="OMEMO 2, XEP-0384 version 0.9",
    element=f"{{{_NAMESPACE}}}encrypted",
    payload=f"{{{_NAMESPACE}}}payload",  # section 5.6: without it, an empty message
    devices=True,
    loads=True,
    packages=("twomemo[xml]", "oldmemo[xml]", "slixmpp-omemo"),
)
