"""OpenPGP as XEP-0027 has it: recognised, not spoken."""

from lab.declarations.encryption import EncryptionDeclaration

DECLARATION = EncryptionDeclaration(
    name="openpgp",
    about="OpenPGP, XEP-0027",
    element="{jabber:x:encrypted}x",
)
