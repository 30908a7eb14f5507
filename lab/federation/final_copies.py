"""What is held in several places and read at the end of a scenario: message archives and OMEMO device lists."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial

from lab.federation.devices import Device
from lab.federation.participants import Participants
from lab.federation.people import Person
from lab.federation.rooms import Room
from lab.history.events import ArchiveRead, DeviceListRead
from lab.metrics.archives import find_archived
from lab.metrics.device_lists import find_correspondents
from lab.metrics.record import RunRecord

#: Messages that are compared, and device lists that are read: of more than these none is, and a note says so.
MOST_MESSAGES = 2000
MOST_LISTS = 500

Reading = Callable[[], Coroutine[None, None, None]]  # raises PeerError, TimedOut


def find_readings(participants: Participants, record: RunRecord) -> list[Reading]:
    """What reads, and records, the archives and the device lists of those who got messages of each other's."""
    return [*_archives(participants, record), *_device_lists(participants, record)]


def _archives(participants: Participants, record: RunRecord) -> list[Reading]:
    """Archives of conversations of which each can be read: its person, or the room's owner, is connected."""
    archived = find_archived(record)
    if len(archived) > MOST_MESSAGES:
        participants.context.history.note(f"archives are not compared: there are more than {MOST_MESSAGES} messages")
        return []
    readings: dict[str, Reading] = {}
    for _, jids in archived:
        found = {jid: _archive(participants, jid) for jid in jids}
        readings |= {jid: one for jid, one in found.items() if one and all(found.values())}
    return list(readings.values())


def _archive(participants: Participants, jid: str) -> Reading | None:
    room = participants.rooms.get(jid)
    person = participants.person_of(jid) if room is None else room.owner
    device = _find_device(person)
    return None if device is None else partial(_read_archive, device, room)


async def _read_archive(device: Device, room: Room | None) -> None:
    messages = tuple(one.id for one in await device.archive(room))
    history, jid = device.person.context.history, device.person.jid if room is None else room.jid
    history.record(ArchiveRead(at=history.now(), archive=jid, messages=messages))


def _device_lists(participants: Participants, record: RunRecord) -> list[Reading]:
    """Each list as a contact's devices read it, and as a device of its owner's does, where they speak the same OMEMO.

    Another version has a list of its own.
    """
    readings: dict[tuple[str, str], Reading] = {}
    for pair in find_correspondents(record):
        reader, owner = (participants.person_of(jid) for jid in pair)
        own = _find_device(owner)
        if reader is None or owner is None or own is None or reader.encryption != owner.encryption:
            continue
        devices = [one for one in (own, *reader.devices) if one.connected and one.omemo_device is not None]
        if own in devices and len(devices) > 1:
            readings |= {(one.key, owner.jid): partial(_read_device_list, one, owner) for one in devices}
    if len(readings) > MOST_LISTS:
        participants.context.history.note(f"device lists are not compared: there are more than {MOST_LISTS} to read")
        return []
    return list(readings.values())


async def _read_device_list(reader: Device, owner: Person) -> None:
    devices = tuple(await reader.published_devices(owner))
    history = reader.person.context.history
    history.record(DeviceListRead(at=history.now(), reader=reader.jid, owner=owner.jid, devices=devices))


def _find_device(person: Person | None) -> Device | None:
    """A person's first connected device."""
    return None if person is None else next((one for one in person.devices if one.connected), None)
