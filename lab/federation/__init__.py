"""The running federation: what scripts and tests hold in their hand."""

from lab.federation.messages import Message
from lab.federation.network import Fault, Federation
from lab.federation.outcomes import Bounce, Delivers, Delivery, Outcome, Promise, Refuses
from lab.federation.peers import Peer
from lab.federation.people import Device, Person
from lab.federation.rooms import Room
from lab.federation.servers import LinkHandle, ServerHandle
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
