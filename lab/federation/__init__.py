"""The running federation: what scripts and tests use."""

from lab.federation.federation import Fault, Federation
from lab.federation.outcomes import Bounce, Delivers, Delivery, Outcome, Promise, Refuses
from lab.federation.people import Device, Message, Person, Room
from lab.federation.servers import LinkHandle, Peer, ServerHandle
from lab.federation.stanzas import Stanza

__all__ = [
    "Bounce",
    "Delivers",
    "Delivery",
    "Device",
    "Fault",
    "Federation",
    "LinkHandle",
    "Message",
    "Outcome",
    "Peer",
    "Person",
    "Promise",
    "Refuses",
    "Room",
    "ServerHandle",
    "Stanza",
]
