"""The fields by which attacks on links choose stanzas: "every third message that has a body"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.declarations.fault import FaultField
from lab.declarations.stanza_rules import STANZAS, read_count, read_name, read_stanza

STANZA = FaultField(
    name="stanza",
    about="Which stanzas: message, presence, iq, or any (empty).",
    read=read_stanza,
    default="message",
    schema={"enum": ["", *STANZAS]},
)
ELEMENT = FaultField(
    name="element",
    about="The local name of an element that they have inside; empty: any stanza.",
    read=read_name,
    default="body",
    schema={"type": "string"},
)
NTH = FaultField(
    name="nth",
    about="Of those that fit, every how many-th.",
    read=read_count,
    default=1,
    schema={"type": "integer", "minimum": 1},
)


def read_selection(values: Mapping[str, Any]) -> dict[str, Any]:
    """These fields for a rule."""
    return {one.name: values[one.name] for one in (STANZA, ELEMENT, NTH)}
