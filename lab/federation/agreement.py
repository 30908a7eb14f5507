"""The end of a scenario: what rosters and rooms say, read until they agree or the time for it is over.

Rosters are those of people who spoke of a subscription (RFC 6121 section 3), rooms those that somebody joined. Where a
fault acted, and all are healed, archives (XEP-0313) and device lists (XEP-0384) of those who wrote to each other are
read as well. Checks judge what was read last; the same checks say here whether it is worth waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from lab.checks import convergence, rooms, roster
from lab.checks.verdict import Value
from lab.errors import PeerError, TimedOut
from lab.federation import final_copies
from lab.federation.participants import Participants
from lab.federation.people import Person
from lab.federation.rooms import Room
from lab.history.events import FaultApplied, FaultHealed, SubscriptionSent
from lab.metrics.record import RunRecord
from lab.topology.allowance import largest_allowance

# All in seconds.
DEADLINE = 20.0  # without a fault, and the allowance of slow links: what is under way arrives within a round trip
FIRST_INTERVAL = 0.25
LONGEST_INTERVAL = 2.0


async def settle(participants: Participants, catch_up: Callable[[], Coroutine[None, None, None]]) -> None:
    """Read rosters and rooms until they agree, at most DEADLINE; after a fault until `convergence` must hold.

    Then archives and device lists are read as well, unless a fault still acts.
    `catch_up` returns once what servers reported is in the history.
    """
    people, places = _find_contacts(participants), _find_rooms(participants)
    history, plan = participants.context.history, participants.context.lab.plan
    limit = history.now() + DEADLINE + largest_allowance(plan.topology)
    interval, failures = FIRST_INTERVAL, []
    record = RunRecord(tuple(history.events), plan)
    readings = final_copies.find_readings(participants, record) if _all_healed(record) else []
    while people or places or readings:
        failures = [await _try(one.roster()) for one in people] + [await _try(one.occupant_lists()) for one in places]
        failures += await asyncio.gather(*(_try(read()) for read in readings))
        await catch_up()
        record = RunRecord(tuple(history.events), plan)
        until = max(limit, *(one.at + convergence.get_limit(record) for one in record.of(FaultHealed)), 0.0)
        if history.now() > until or not (any(failures) or _differs(record)):
            break
        await asyncio.sleep(interval)
        interval = min(1.5 * interval, LONGEST_INTERVAL)
    for failure in filter(None, failures):
        history.note(f"not read at the end: {failure}")


def _all_healed(record: RunRecord) -> bool:
    """Whether a fault acted, and none acts any more: what is asked of another server is answered."""
    applied = {one.number for one in record.of(FaultApplied)}
    return bool(applied) and applied <= {one.number for one in record.of(FaultHealed) if not one.error}


def _differs(record: RunRecord) -> bool:
    if any(one.check(record).value is Value.FAILED for one in (roster, rooms)):
        return True
    healed = max((one.at for one in record.of(FaultHealed)), default=None)
    if healed is None:
        return False
    return bool(convergence.find_stale_presence(record) or convergence.find_different_copies(record, healed))


async def _try(reading: Coroutine[None, None, object]) -> str:
    """What kept it from being read, "" if nothing did."""
    try:
        await reading
    except (PeerError, TimedOut) as error:
        return str(error)
    return ""


def _find_contacts(participants: Participants) -> list[Person]:
    """Those who spoke of a subscription, or were spoken of, and are connected."""
    said = [one for one in participants.context.history.events if isinstance(one, SubscriptionSent)]
    jids = dict.fromkeys(jid for one in said for jid in (one.person, one.contact))
    found = (participants.person_of(jid) for jid in jids)
    return [person for person in found if person is not None and any(one.connected for one in person.devices)]


def _find_rooms(participants: Participants) -> list[Room]:
    """Rooms whose owner is connected, who may read the room's own list."""
    found = participants.rooms.values()
    return [room for room in found if room.owner is not None and room.owner.device.connected]
