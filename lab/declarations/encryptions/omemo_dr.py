"""OMEMO 0.3 by a second implementation, omemo-dr, which Gajim uses: both speak the same, or one of them is wrong.

Its messages show the element of OMEMO 0.3, by which they are recognised as such.
"""

from lab.declarations.encryption import EncryptionDeclaration

DECLARATION = EncryptionDeclaration(
    name="omemo-dr",
    about="OMEMO, XEP-0384 version 0.3, with Gajim's library omemo-dr",
    devices=True,
    library_package="python3-omemo-dr",
    extra="omemo-dr",
)
