"""Letters are replaced by those 13 places on."""

from lab.declarations.encryption import EncryptionDeclaration

DECLARATION = EncryptionDeclaration(
    name="rot13",
    about="ROT13",
    element="{urn:example:rot13}turned",
    devices=True,
    packages=("uvloop",),
)
