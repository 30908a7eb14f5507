"""What is declared of an encryption: an `EncryptionDeclaration`, one for each file of lab/declarations/encryptions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET


@dataclass(frozen=True, kw_only=True)
class EncryptionDeclaration:
    """A way to encrypt messages. Names of elements are as in ElementTree: "{namespace}name"."""

    name: str  # as in `encryption="omemo"`, and in events
    about: str  # what it is, with its specification
    end_to_end: bool = True  # whether servers cannot read the body
    element: str = ""  # the child of a message by which it is recognised; "" if it has none
    payload: str = ""  # the child of `element` without which a message has no text, only keys; "" if there is none
    body: str = ""  # how a body begins that is encrypted so, where no element shows it; "" if it is no such encryption
    text: str = ""  # regular expression: how such a body begins that carries a text; all others are of the protocol
    offer: str = ""  # regular expression: what is put into a text in the clear to offer it, and is no part of the text
    eme: str = ""  # the namespace by which XEP-0380 names it, where it has no element
    devices: bool = False  # whether devices of the lab can use it: lab/clients/encryption/<module>.py
    loads: bool = False  # whether a load can be encrypted with it: lab/load/worker/encrypted_engine.py
    packages: tuple[str, ...] = ()  # Python distributions that its code for devices imports
    library: str = ""  # the shared library that this code loads: "libotr.so.5"; "" for none
    library_package: str = ""  # Debian's package of that library, or of Python code that is no wheel: in agents' image
    extra: str = ""  # the optional dependencies of xmpplab that have that code where no image is used

    @property
    def module(self) -> str:
        """Its name as part of a module's."""
        return self.name.replace(":", "").replace("-", "_").replace("+", "_")

    @property
    def namespace(self) -> str:
        """The namespace by which feeds and XEP-0380 name it: that of its element, if it has one; "" for none."""
        return self.element[1:].partition("}")[0] or self.eme

    @property
    def payload_path(self) -> str:
        """The path from a message to its payload, as ElementTree finds it."""
        return f"{self.element}/{self.payload}"

    def has_text(self, message: ET.Element, body: str | None) -> bool:
        """Whether a message that is encrypted so carries what somebody wrote, and not only keys or the like."""
        if self.payload:
            return message.find(self.payload_path) is not None
        return not self.text or re.match(self.text, body or "") is not None
