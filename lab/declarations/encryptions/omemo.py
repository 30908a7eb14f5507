"""OMEMO as deployed clients speak it, XEP-0384 version 0.3."""

from lab.declarations.encryption import EncryptionDeclaration

_NAMESPACE = "eu.siacs.conversations.axolotl"

DECLARATION = EncryptionDeclaration(
    name="omemo",
    about="OMEMO, XEP-0384 version 0.3",
    element=f"{{{_NAMESPACE}}}encrypted",
    payload=f"{{{_NAMESPACE}}}payload",  # section 4.6: without it, an empty message
    devices=True,
    loads=True,
    packages=("oldmemo[xml]", "slixmpp-omemo"),
)
