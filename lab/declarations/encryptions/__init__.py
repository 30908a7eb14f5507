"""Encryptions by name: each module here has a DECLARATION."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lab.declarations.discovery import find_variants
from lab.declarations.encryption import EncryptionDeclaration
from lab.errors import UserError

#: Every declaration by the name of its encryption.
ENCRYPTIONS: dict[str, EncryptionDeclaration] = {
    one.name: one for one in find_variants(__name__, "DECLARATION", EncryptionDeclaration).values()
}

_BY_ELEMENT = {one.element: one for one in ENCRYPTIONS.values() if one.element}
_BY_NAMESPACE = {one.namespace: one for one in ENCRYPTIONS.values() if one.namespace}
_BY_BODY = {one.body: one for one in ENCRYPTIONS.values() if one.body}


def get_encryption(name: str, among: Iterable[str] = ENCRYPTIONS) -> EncryptionDeclaration:
    """The declaration of that name. Raises UserError if it is not among these."""
    known = sorted(among)
    if name not in known:
        raise UserError(f"encryption {name!r} is unknown: use one of {', '.join(known)}")
    return ENCRYPTIONS[name]


def find_by_element(tag: str) -> EncryptionDeclaration | None:
    """The encryption that a child of a message shows by its name, None if it shows none."""
    return _BY_ELEMENT.get(tag)


def find_by_body(body: str | None) -> EncryptionDeclaration | None:
    """The encryption that a message's body shows by how it begins, None if it shows none."""
    return next((one for begins, one in _BY_BODY.items() if body is not None and body.startswith(begins)), None)


def find_in_message(children: Iterable[str], body: str | None) -> EncryptionDeclaration | None:
    """The encryption that a message shows by the names of its children, or by its body; None if it shows none."""
    shown = (one for tag in children if (one := find_by_element(tag)))
    return next(shown, None) or find_by_body(body)


def find_by_namespace(namespace: str | None) -> EncryptionDeclaration | None:
    """The encryption that feeds and XEP-0380 name so, None if none is declared."""
    return _BY_NAMESPACE.get(namespace or "")


def is_end_to_end(name: str) -> bool:
    """Whether servers cannot read what is encrypted so; of an encryption that is not declared it is assumed."""
    return name not in ENCRYPTIONS or ENCRYPTIONS[name].end_to_end


def split_offer(body: str) -> tuple[str, str]:
    """A body without the offer of an encryption in it, and the name of that encryption, "" without one."""
    for one in ENCRYPTIONS.values():
        if one.offer and (found := re.search(one.offer, body)):
            return body[: found.start()] + body[found.end() :], one.name
    return body, ""


def list_elements() -> tuple[str, ...]:
    """Every element by which an encryption is recognised."""
    return tuple(_BY_ELEMENT)


def list_bodies() -> tuple[str, ...]:
    """Every beginning of a body by which an encryption is recognised: its namespace, a space, the beginning."""
    return tuple(f"{one.namespace} {begins}" for begins, one in _BY_BODY.items())
