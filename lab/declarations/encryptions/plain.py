"""No encryption beyond TLS: every server on the way reads the body."""

from lab.declarations.encryption import EncryptionDeclaration

DECLARATION = EncryptionDeclaration(
    name="plain",
    about="no end-to-end encryption",
    end_to_end=False,
    devices=True,
    loads=True,
)
