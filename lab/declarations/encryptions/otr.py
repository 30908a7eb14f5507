"""Off-the-Record Messaging, versions 3 and 2: legacy (XEP-0364 is deferred). A body shows it, no element does.

A message is "?OTR:", then base64 of version (2 bytes), type (1 byte; 03 is data), in version 3 two instance tags
(4 bytes each), and for data a byte of flags. Its lowest bit is set where nobody wrote a text: shared-secret check, end
of the session, sign of life. A long message is sent in pieces ("?OTR|", "?OTR,"), the first of which has the head.
"""

from lab.declarations.encryption import EncryptionDeclaration

_FIRST_PIECE = r"(?:\|[0-9a-f]+\|[0-9a-f]+)?,0*1,\d+,\?OTR"

DECLARATION = EncryptionDeclaration(
    name="otr",
    about="OTR, versions 3 and 2 (XEP-0364): legacy",
    body="?OTR",
    text=rf"\?OTR(?:{_FIRST_PIECE})?:(?:AAMD.{{11}}A|AAIDA[A-P])",
    offer=r" \t  \t{4} \t \t \t  (?:[ \t]{8})*",  # the whitespace tag: 16 characters, then 8 for each version
    eme="urn:xmpp:otr:0",
    devices=True,
    loads=True,
    packages=("cffi",),
    library="libotr.so.5",
    library_package="libotr5",
)
