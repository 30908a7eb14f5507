"""OMEMO as XEP-0384 has specified it since version 0.4: recognised, not spoken."""

from lab.declarations.encryption import EncryptionDeclaration

DECLARATION = EncryptionDeclaration(
    name="omemo2",
    about="OMEMO, XEP-0384 since version 0.4",
    element="{urn:xmpp:omemo:2}encrypted",
)
