"""OMEMO 0.3 with private keys that are lost: what others can fetch is there, what they encrypt for it is not readable.

As after a new installation without a backup, where the old device stays on the device list. Its messages would show
the element of OMEMO 0.3, by which they are recognised as such.
"""

from lab.declarations.encryption import EncryptionDeclaration

DECLARATION = EncryptionDeclaration(
    name="omemo-keys-lost",
    about="OMEMO 0.3 whose private keys are lost: publishes keys, reads and encrypts nothing",
    devices=True,
    packages=("oldmemo[xml]", "slixmpp-omemo"),
)
