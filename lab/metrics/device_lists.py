"""OMEMO device lists (XEP-0384): as those who wrote to each other read them, beside what the own server holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lab.history.events import DeviceListRead
from lab.metrics.jids import strip_resource
from lab.metrics.record import RunRecord


@dataclass(frozen=True)
class DeviceLists:
    """Somebody's device list as a device of another person read it, and as the own server holds it."""

    reader: str  # full JID
    owner: str  # bare JID
    read: tuple[int, ...]
    held: tuple[int, ...]

    @property
    def agree(self) -> bool:
        """Whether both are the same devices, in whatever order."""
        return set(self.read) == set(self.held)


def find_correspondents(record: RunRecord) -> list[tuple[str, str]]:
    """Pairs of people of whom one got a message of the other's, by bare JIDs: each pair in both orders."""
    pairs: dict[tuple[str, str], None] = {}
    for _, sent in record.messages:
        one, other = strip_resource(sent.sender), strip_resource(sent.receiver)
        if one != other and record.people.issuperset((one, other)) and record.arrivals(sent):
            pairs |= {(one, other): None, (other, one): None}
    return list(pairs)


def compare_device_lists(record: RunRecord, since: float) -> Iterator[DeviceLists]:
    """Each list that a contact read last, beside the own server's, none before `since` (seconds since the epoch)."""
    read = {(one.reader, one.owner): one.devices for one in record.of(DeviceListRead) if one.at >= since}
    held = {owner: devices for (reader, owner), devices in read.items() if strip_resource(reader) == owner}
    for (reader, owner), devices in read.items():
        if strip_resource(reader) != owner and owner in held:
            yield DeviceLists(reader, owner, devices, held[owner])
