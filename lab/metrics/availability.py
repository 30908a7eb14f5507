"""Who was available when, by what the devices said (RFC 6121 section 4): whom a message to a bare JID is for.

A device that connects is available with priority 0. Events have the order of the history.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from lab.history.events import Connected, Disconnected, Event, PresenceSent

# Availability: the priority of an available device, None of one that is not.
Change = tuple[int, int | None]  # place in the history, what holds from there on


class Availability:
    """The availability of every device of a history."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._changes: dict[str, list[Change]] = defaultdict(list)
        self._sent: list[tuple[int, str]] = []  # presences of devices that were connected
        for place, event in enumerate(events):
            match event:
                case Connected():
                    self._changes[event.device].append((place, 0))
                case PresenceSent():
                    self._sent.append((place, event.device))
                    self._changes[event.device].append((place, event.priority if event.available else None))
                case Disconnected():
                    self._changes[event.device].append((place, None))

    def changed(self, person: str, after: int) -> bool:
        """Whether any connected device of a person (a bare JID) sent another presence after this place."""
        return any(place > after and device.partition("/")[0] == person for place, device in self._sent)

    def available_later(self, person: str, after: int) -> tuple[str, ...]:
        """The devices of a person that became available after this place, in order: they get what was kept.

        One with a negative priority gets nothing that was sent to the bare JID (section 8.5.2.1.1).
        """
        found = [
            (place, device)
            for device, changes in self._changes.items()
            if device.partition("/")[0] == person
            for place, priority in changes
            if place > after and takes(priority)
        ]
        return tuple(dict.fromkeys(device for _, device in sorted(found)))

    def takes_none(self, device: str, since: int) -> bool:
        """Whether, from this place to the end, a device was never entitled to a message to its bare JID."""
        before = [priority for place, priority in self._changes.get(device, ()) if place <= since]
        later = [priority for place, priority in self._changes.get(device, ()) if place > since]
        return bool(before) and not any(takes(priority) for priority in [before[-1], *later])


def takes(priority: int | None) -> bool:
    """Whether a device of this priority is entitled to messages to its bare JID."""
    return priority is not None and priority >= 0
