"""Delivery receipts (XEP-0184): which messages ask for one, and what a device answers. Pure."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from lab.clients.xmpp.stanzas import CLIENT, read_delivery

RECEIPTS = "urn:xmpp:receipts"


def build_receipt(xml: ET.Element, message: str) -> ET.Element | None:
    """The message, with this id, that acknowledges a message; None where it asks for nothing (section 5).

    A copy of another device's message asks nobody: what it carries is not its own child.
    """
    wanted, about = xml.find(f"{{{RECEIPTS}}}request") is not None, xml.get("id")
    if not wanted or not about or xml.get("type") in ("error", "groupchat"):
        return None
    answer = ET.Element(f"{{{CLIENT}}}message", {"to": xml.get("from", ""), "id": message})
    if (kind := xml.get("type")) is not None:
        answer.set("type", kind)
    ET.SubElement(answer, f"{{{RECEIPTS}}}received", {"id": about})
    return answer


def has_text(xml: ET.Element) -> bool:
    """Whether a message has a text, in the clear or encrypted: what has none is shown to nobody, and not acknowledged.

    Else the sender of a message whose text was taken out on the way would take it for received.
    """
    found = read_delivery(xml, "live", "")
    return found is not None and not found.keys_only


def read_receipt(xml: ET.Element) -> str | None:
    """The id of the message that a message acknowledges; None where it acknowledges none."""
    received = xml.find(f"{{{RECEIPTS}}}received")
    return None if received is None or xml.get("type") == "error" else received.get("id")
