"""Reading a message archive page by page (XEP-0313 with XEP-0059)."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

from lab.clients.xmpp.stanzas import CLIENT, MAM, Archived, read_delivery

RSM = "http://jabber.org/protocol/rsm"
DATA = "jabber:x:data"

#: Messages asked for at a time; servers cap it themselves (Prosody 50, ejabberd 250).
PAGE = 100


def describe(entry: Archived) -> dict[str, Any]:
    """An archived message, as the protocol has it."""
    xml = entry.xml
    found = read_delivery(xml, "archive", "")
    return {
        "id": xml.get("id", ""), "from": xml.get("from", ""), "to": xml.get("to", ""),
        "at": parse_stamp(entry.at), "body": xml.findtext(f"{{{CLIENT}}}body"),
        "encrypted": None if found is None else found.encrypted,
    }  # fmt: skip


async def fetch(
    ask: Callable[[ET.Element], Awaitable[ET.Element]],
    collect: Callable[[str], list[Archived]],
    with_: str | None,
    start: str | None,
) -> list[Archived]:
    """All archived messages, oldest first.

    `ask` sends the query (an IQ's payload) and gives the answer's XML; `collect` gives the list that the results of a
    query of that name are added to as they are received.
    """
    messages: list[Archived] = []
    after: str | None = None
    while True:
        name = uuid.uuid4().hex
        page = collect(name)
        answer = await ask(_query(name, with_, start, after))
        messages += page
        fin = answer.find(f"{{{MAM}}}fin")
        last = None if fin is None else fin.findtext(f"{{{RSM}}}set/{{{RSM}}}last")
        if fin is None or fin.get("complete") == "true" or not last or last == after:
            return messages
        after = last


def parse_stamp(stamp: str) -> float | None:
    """Seconds since the epoch of an XEP-0082 date and time, None if it is none."""
    try:
        return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def format_stamp(at: float) -> str:
    """The XEP-0082 date and time of seconds since the epoch."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _query(name: str, with_: str | None, start: str | None, after: str | None) -> ET.Element:
    query = ET.Element(f"{{{MAM}}}query", {"queryid": name})
    form = ET.SubElement(query, f"{{{DATA}}}x", {"type": "submit"})
    for var, value in (("FORM_TYPE", MAM), ("with", with_), ("start", start)):
        if value is not None:
            entry = ET.SubElement(form, f"{{{DATA}}}field", {"var": var})
            ET.SubElement(entry, f"{{{DATA}}}value").text = value
    paging = ET.SubElement(query, f"{{{RSM}}}set")
    ET.SubElement(paging, f"{{{RSM}}}max").text = str(PAGE)
    if after is not None:
        ET.SubElement(paging, f"{{{RSM}}}after").text = after
    return query
