"""OMEMO 0.3 and OMEMO 2, as a client in transition speaks them: one device id and key in both."""

from lab.clients.encryption.omemo import OmemoStrategy
from lab.clients.encryption.omemo_0_3 import Omemo03
from lab.clients.encryption.omemo_2 import Omemo2


class BothOmemoStrategy(OmemoStrategy):
    """Both versions for one live stream of one device; 2 for devices that read both."""

    name = "omemo+omemo:2"
    speaks = (Omemo2, Omemo03)


STRATEGY = BothOmemoStrategy
