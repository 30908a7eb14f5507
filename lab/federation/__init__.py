"""The running federation: what scripts and tests use."""

from lab.federation.attempts import Attempt
from lab.federation.devices import ArchivedMessage, Device
from lab.federation.federation import Fault, Federation
from lab.federation.guests import Guest
from lab.federation.messages import Message
from lab.federation.outcomes import Bounce, Delivers, Delivery, Outcome, Promise, Receipt, Refuses
from lab.federation.peers import Peer
from lab.federation.people import Person
from lab.federation.posts import Post
from lab.federation.programs import Program
from lab.federation.rooms import Room
from lab.federation.rosters import RosterItem
from lab.federation.servers import LinkHandle, ServerHandle
from lab.federation.stanzas import Stanza

__all__ = [
    "ArchivedMessage",
    "Attempt",
    "Bounce",
    "Delivers",
    "Delivery",
    "Device",
    "Fault",
    "Federation",
    "Guest",
    "LinkHandle",
    "Message",
    "Outcome",
    "Peer",
    "Person",
    "Post",
    "Program",
    "Promise",
    "Receipt",
    "Refuses",
    "Room",
    "RosterItem",
    "ServerHandle",
    "Stanza",
]
