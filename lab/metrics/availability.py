"""Who was available when, by what the devices said (RFC 6121 section 4): whom a message to a bare JID is for.

A device that connects is available with priority 0. Events have the order of the history.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable

from lab.history.events import Connected, Disconnected, Event, PresenceSent

# Availability: the priority of an available device, None of one that is not.
Change = tuple[int, int | None]  # place in the history, what holds from there on


class Availability:
    """The availability of every device of a history."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._changes: dict[str, list[Change]] = defaultdict(list)
        self._connections: dict[str, list[tuple[int, bool]]] = defaultdict(list)
        self._sent: list[tuple[int, str]] = []  # presences of devices that were connected
        self._times: list[float] = []  # of all changes
        self._places: list[int] = []
        self._end = 0
        for place, event in enumerate(events):
            self._end = place + 1
            if isinstance(event, Connected | PresenceSent | Disconnected):
                self._times.append(event.at)
                self._places.append(place)
            match event:
                case Connected():
                    self._connections[event.device].append((place, True))
                    self._changes[event.device].append((place, 0))
                case PresenceSent():
                    self._sent.append((place, event.device))
                    self._changes[event.device].append((place, event.priority if event.available else None))
                case Disconnected():
                    self._connections[event.device].append((place, False))
                    self._changes[event.device].append((place, None))

    def place_at(self, at: float) -> int:
        """The place of the first change after a time, by when the devices made it; behind all others without one."""
        later = bisect_right(self._times, at)
        return self._places[later] if later < len(self._places) else self._end

    def entitled(self, person: str, place: int) -> tuple[str, ...]:
        """The devices of a person (a bare JID) that are entitled to a message to the bare JID at a place.

        Those of the highest priority, if it is not negative (RFC 6121 section 8.5.2.1.1).
        """
        priorities = {
            device: priority
            for device in self._changes
            if device.partition("/")[0] == person and (priority := self.priority(device, place)) is not None
        }
        highest = max(priorities.values(), default=-1)
        return tuple(device for device, priority in priorities.items() if priority == highest >= 0)

    def priority(self, device: str, place: int) -> int | None:
        """The priority of a device at a place; None if it is not available."""
        before = [priority for at, priority in self._changes.get(device, ()) if at < place]
        return before[-1] if before else None

    def is_connected(self, device: str, place: int) -> bool:
        """Whether a device (a full JID) was connected at a place, available or not."""
        before = [connected for at, connected in self._connections.get(device, ()) if at < place]
        return bool(before) and before[-1]

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
