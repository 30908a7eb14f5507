"""OMEMO 2 (XEP-0384 version 0.9, urn:xmpp:omemo:2), and no other version."""

from lab.clients.encryption.omemo import OmemoStrategy
from lab.clients.encryption.omemo_2 import Omemo2


class Omemo2Strategy(OmemoStrategy):
    """OMEMO 2 for one live stream of one device."""

    name = "omemo:2"
    speaks = (Omemo2,)


STRATEGY = Omemo2Strategy
