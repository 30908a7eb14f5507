"""Events about keys: who can read what was encrypted. They belong to the language of lab/history/events.py."""

from __future__ import annotations

from dataclasses import dataclass

from lab.history.event import Event


@dataclass(frozen=True, kw_only=True)
class Encrypted(Event):
    """A message was encrypted for these OMEMO devices, and no others (XEP-0384), and handed to the stream."""

    kind = "encrypted"
    message: str
    sender: str  # full JID of the device that encrypted it
    devices: tuple[tuple[str, int], ...]  # bare JID and device id of each that can read it


@dataclass(frozen=True, kw_only=True)
class DeviceRemoved(Event):
    """A device was taken off the OMEMO device lists of its account (XEP-0384): nobody encrypts for it any more."""

    kind = "device-removed"
    device: str  # full JID
    omemo_device: int  # its id
    by: str  # full JID of the device that did it: another of the account, or itself


@dataclass(frozen=True, kw_only=True)
class LeftOut(Event):
    """A device on somebody's device list was left out of an encrypted message (XEP-0384)."""

    kind = "left-out"
    message: str
    sender: str  # full JID of the device that encrypted it
    owner: str  # bare JID of the one whose device was left out: a receiver, or the sender
    omemo_device: int  # its id
    reason: str
    published: bool | None  # whether its keys can be fetched; None: the server did not say
    excluded: bool  # the sender has distrusted its key


@dataclass(frozen=True, kw_only=True)
class DeviceListRead(Event):
    """An OMEMO device list (XEP-0384), fetched at the end of a run in which a fault acted."""

    kind = "device-list-read"
    reader: str  # full JID of the device that fetched it; one of the owner's own asks the own server
    owner: str  # bare JID of the one whose devices these are
    devices: tuple[int, ...]  # their ids


@dataclass(frozen=True, kw_only=True)
class LinkSearched(Event):
    """What passed a link, as it was on the wire, was searched for every canary."""

    kind = "link-searched"
    source: str  # name of the server that opened the streams
    target: str
    bytes: int  # that passed in the run, in both directions of these streams
    canaries: int
    control: bool  # the text was found that stands there readable without TLS
    complete: bool = True  # all that passed was searched; False: there was too much of it
