"""Both versions of OMEMO in one device. Its messages show the one, the other, or both, each by its own element."""

from lab.declarations.encryption import EncryptionDeclaration

DECLARATION = EncryptionDeclaration(
    name="omemo+omemo:2",
    about="OMEMO 0.3 and OMEMO 2, each device with what it reads",
    devices=True,
    packages=("twomemo[xml]", "oldmemo[xml]", "slixmpp-omemo"),
)
