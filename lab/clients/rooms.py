"""The occupants of rooms, as the rooms' presences tell one device (XEP-0045 section 7)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from lab.clients.xmpp.stanzas import CLIENT, read_error
from lab.errors import PeerError

MUC = "http://jabber.org/protocol/muc"
MUC_USER = "http://jabber.org/protocol/muc#user"
MUC_OWNER = "http://jabber.org/protocol/muc#owner"
MUC_ADMIN = "http://jabber.org/protocol/muc#admin"
DATA = "jabber:x:data"
DISCO_INFO = "http://jabber.org/protocol/disco#info"

#: Features of a room (section 15.3): everybody sees everybody's real JID; only members enter.
NON_ANONYMOUS = "muc_nonanonymous"
MEMBERS_ONLY = "muc_membersonly"
#: Affiliations of those for whom an encrypted message is, in the room or not (XEP-0384 section 5.8).
READERS = ("owner", "admin", "member")

SELF = "110"  # this presence is about oneself
RENAMED = "303"  # this occupant goes on under another nickname
CREATED = "201"  # the room has just been made and waits for its configuration


@dataclass
class JoinedRoom:
    """One room that a device joined or is joining. `occupants`: full room JID -> real bare JID, "" if not shown."""

    jid: str
    nick: str
    joined: asyncio.Future[bool]  # True: the room was made by this join
    left: asyncio.Future[None]
    occupants: dict[str, str] = field(default_factory=dict)

    @property
    def me(self) -> str:
        """This device's full room JID."""
        return f"{self.jid}/{self.nick}"

    def on_presence(self, presence: ET.Element) -> None:
        """Take one presence from the room into account."""
        sender = presence.get("from", "")
        codes = read_status_codes(presence)
        if presence.get("type") == "error":
            condition, _, text = read_error(presence)
            said = f"{condition}{f' ({text})' if text else ''}"
            self._fail(PeerError(f"room {self.jid} refuses {self.nick}: {said}", condition))
        elif not sender.partition("/")[2]:
            return  # the room about itself (ejabberd: its picture), no occupant joins or leaves
        elif presence.get("type") == "unavailable":
            self.occupants.pop(sender, None)
            if RENAMED not in codes and (SELF in codes or sender == self.me):
                self._ended(presence)
        else:
            item = presence.find(f"{{{MUC_USER}}}x/{{{MUC_USER}}}item")
            self.occupants[sender] = "" if item is None else item.get("jid", "").partition("/")[0]
            if SELF in codes:
                self.nick = sender.partition("/")[2]  # the room may have changed it (code 210)
                if not self.joined.done():
                    self.joined.set_result(CREATED in codes)

    def _ended(self, presence: ET.Element) -> None:
        self._fail(PeerError(f"room {self.jid} removed {self.nick} (codes {read_status_codes(presence)})"))
        if not self.left.done():
            self.left.set_result(None)

    def _fail(self, error: PeerError) -> None:
        if not self.joined.done():
            self.joined.set_exception(error)


def read_status_codes(presence: ET.Element) -> list[str]:
    """The status codes of a room's presence, as they stand."""
    return [status.get("code", "") for status in presence.findall(f"{{{MUC_USER}}}x/{{{MUC_USER}}}status")]


def build_join(room: str, nick: str) -> ET.Element:
    """The presence that joins a room without asking for its history."""
    presence = ET.Element(f"{{{CLIENT}}}presence", {"to": f"{room}/{nick}"})
    muc = ET.SubElement(presence, f"{{{MUC}}}x")
    ET.SubElement(muc, f"{{{MUC}}}history", {"maxstanzas": "0"})
    return presence


def build_configuration(values: dict[str, str | list[str]]) -> ET.Element:
    """The owner's query that submits these values; without any it accepts the defaults (section 10.1.2)."""
    query = ET.Element(f"{{{MUC_OWNER}}}query")
    form = ET.SubElement(query, f"{{{DATA}}}x", {"type": "submit"})
    if values:
        values = {"FORM_TYPE": "http://jabber.org/protocol/muc#roomconfig", **values}
    for name, value in values.items():
        entry = ET.SubElement(form, f"{{{DATA}}}field", {"var": name})
        for text in [value] if isinstance(value, str) else value:
            ET.SubElement(entry, f"{{{DATA}}}value").text = text
    return query


def build_info_query() -> ET.Element:
    """Ask for the features of a room (section 6.4)."""
    return ET.Element(f"{{{DISCO_INFO}}}query")


def read_features(answer: ET.Element) -> frozenset[str]:
    """The features in the answer to `build_info_query`."""
    found = answer.iterfind(f"{{{DISCO_INFO}}}query/{{{DISCO_INFO}}}feature")
    return frozenset(feature.get("var", "") for feature in found)


def read_real_jid(message: ET.Element) -> str:
    """The sender's real bare JID in a message of a room's archive (XEP-0313 section 6.1.2), "" where it has none."""
    item = message.find(f"{{{MUC_USER}}}x/{{{MUC_USER}}}item")
    return "" if item is None else item.get("jid", "").partition("/")[0]


def build_members_query(affiliation: str) -> ET.Element:
    """Ask for all people of this affiliation: "owner", "admin", "member" (section 9.5)."""
    query = ET.Element(f"{{{MUC_ADMIN}}}query")
    ET.SubElement(query, f"{{{MUC_ADMIN}}}item", {"affiliation": affiliation})
    return query


def read_members(answer: ET.Element) -> set[str]:
    """The bare JIDs in the answer to `build_members_query`."""
    items = answer.findall(f"{{{MUC_ADMIN}}}query/{{{MUC_ADMIN}}}item")
    return {item.get("jid", "").partition("/")[0] for item in items if item.get("jid")}
