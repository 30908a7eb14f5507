"""What is declared of an encryption: an `EncryptionDeclaration`, one for each file of lab/declarations/encryptions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EncryptionDeclaration:
    """A way to encrypt messages. Names of elements are as in ElementTree: "{namespace}name"."""

    name: str  # as in `encryption="omemo"`, and in events
    about: str  # what it is, with its specification
    end_to_end: bool = True  # whether servers cannot read the body
    element: str = ""  # the child of a message by which it is recognised; "" if it has none
    payload: str = ""  # the child of `element` without which a message has no text, only keys; "" if there is none
    devices: bool = False  # whether devices of the lab can use it: lab/clients/encryption/<name>.py
    loads: bool = False  # whether a load can be encrypted with it: lab/load/worker/<name>_engine.py
    packages: tuple[str, ...] = ()  # Python distributions that its code for devices imports

    @property
    def module(self) -> str:
        """Its name as part of a module's."""
        return self.name.replace("-", "_")

    @property
    def namespace(self) -> str:
        """The namespace of its element, by which feeds and XEP-0380 name it; "" without an element."""
        return self.element[1:].partition("}")[0]

    @property
    def payload_path(self) -> str:
        """The path from a message to its payload, as ElementTree finds it."""
        return f"{self.element}/{self.payload}"
