"""What the people of a cell do: how they begin, what they write under attack, and how the careful ones decide."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from lab.errors import LabError, NotReceived, PeerError, describe
from lab.faults import (
    downgrade,
    drop_stanzas,
    forge_carbon,
    modify_ciphertext,
    phantom_device,
    reorder,
    replay,
    stale_prekey,
    strip_encryption,
    swap_bundle,
    withhold_device_list,
)
from lab.federation import Federation, LinkHandle, Message, Person, ServerHandle
from lab.runner.attacks.cells import CONTROL, AttackKind, Cell, get_kind

RECEIPT = 15.0  # seconds after which a receipt is taken for missing
#: Attacks after which a message is not awaited: it never arrives, or as something else.
_NOT_AWAITED = ("drop-stanzas", "strip-encryption", "modify-ciphertext", "downgrade-plain")


@dataclass
class AttackTrial:
    """A sender and a receiver, and one cell."""

    cell: Cell
    kind: AttackKind
    source: str  # names of servers
    target: str
    sender: str = ""  # bare JIDs, once they are there
    receiver: str = ""
    began: float = 0.0  # seconds since the epoch: what was sent before was not under attack
    problem: str = ""  # why nothing can be said
    people: tuple[Person, Person] | None = field(default=None, repr=False)
    third: Person | None = field(default=None, repr=False)


async def try_attack(federation: Federation, kind: AttackKind, trials: Sequence[AttackTrial]) -> None:
    """Let the people of all these trials meet, then write under attack, all at the same time."""
    await asyncio.gather(*(_guarded(trial, _prepare(federation, trial)) for trial in trials))
    ready = [trial for trial in trials if not trial.problem]
    link = federation.link(federation.server(trials[0].source), federation.server(trials[0].target))
    async with _inject(federation, kind, link):
        await asyncio.gather(*(_guarded(trial, _write_under_attack(federation, trial)) for trial in ready))


async def _guarded(trial: AttackTrial, action: Any) -> None:
    """What goes wrong with one trial is said of that one."""
    try:
        await action
    except LabError as error:
        trial.problem = describe(error)


@asynccontextmanager
async def _inject(federation: Federation, kind: AttackKind, link: LinkHandle) -> AsyncIterator[None]:
    """The attack on the link, if it is one."""
    faults = {
        "downgrade-older": [downgrade(link, to="omemo"), downgrade(link, to="otr:2")],
        "downgrade-plain": [downgrade(link, to="plain")],
        "strip-encryption": [strip_encryption(link)],
        "modify-ciphertext": [modify_ciphertext(link)],
        "drop-stanzas": [drop_stanzas(link, element="")],  # a message of OMEMO 2 has no body
        "replay": [replay(link, element="")],
        "reorder": [reorder(link, element="")],
    }
    async with AsyncExitStack() as stack:
        for fault in faults.get(kind.name, ()):
            await stack.enter_async_context(federation.inject(fault))
        yield


async def _prepare(federation: Federation, trial: AttackTrial) -> None:
    """The people, who have written to each other where the cell is about that."""
    cell = trial.cell
    spoken = trial.kind.spoken.get(cell.encryption, cell.encryption)
    trust = "undecided" if cell.trust == "undecided" else "blind"
    word = "".join(letter for letter in f"{cell.encryption}-{cell.trust}" if letter.isalnum() or letter == "-")

    async def person(server: ServerHandle, role: str, trust: str = trust, devices: int = 1) -> Person:
        return await server.person(f"{role}-{word}", encryption=spoken, trust=trust, devices=devices)

    home, devices = federation.server(trial.target), trial.kind.receiver_devices
    sender = await person(federation.server(trial.source), "from")
    # Devices of one person would have to decide on each other, too, before they send a receipt.
    receiver = await person(home, "to", trust if devices == 1 else "blind", devices)
    if trial.kind.third:
        trial.third = await person(sender.server if trial.kind.third == "sender" else home, "third", "blind")
    trial.people, trial.sender, trial.receiver = (sender, receiver), sender.jid, receiver.jid
    if (
        trust == "undecided" and receiver.trust == trust and cell.encryption != "otr"
    ):  # OTR shows no key before there is a session
        await receiver.device.published_devices(sender)
        await _decide(receiver, sender)  # receipts of OMEMO 2 are encrypted, too
    if not trial.kind.established and cell.trust != "verified":
        return
    message = await _write(trial, _text(federation, cell))
    if message is None or not await _is_read(message, devices):
        trial.problem = "before the attack a message could not be read"
    elif not await _is_acknowledged(message):  # else beginning the attack, which ends the streams, could lose it
        trial.problem = "before the attack a receipt was missing"
    elif cell.trust == "verified" and not (await _decide(sender, receiver) and await _decide(receiver, sender)):
        trial.problem = "before the attack the fingerprints did not match"
    elif cell.encryption == "otr" and not trial.kind.established:
        await sender.end_session(receiver)  # the next message begins one under attack


async def _write_under_attack(federation: Federation, trial: AttackTrial) -> None:
    assert trial.people is not None
    sender, receiver = trial.people
    async with AsyncExitStack() as stack:
        fault = _of_a_person(trial)
        cheat = None if fault is None else await stack.enter_async_context(federation.inject(fault))
        trial.began = federation.history.now()
        if trial.kind.name == "stale-prekey":
            assert trial.third is not None
            if not await _is_read(await trial.third.send(receiver, _text(federation, trial.cell))):
                trial.problem = "the first who begins a session is not read either"
        messages = [await _write(trial, _text(federation, trial.cell)) for _ in range(trial.kind.messages)]
        await sender.ping(receiver.server)  # they have passed the link
        for message in messages:
            if message is not None:
                await _await_end(trial, message, cheat)
        if trial.kind.name == "forge-carbon":
            await receiver.ping(receiver.server)  # so has the copy, and the device has it


def _of_a_person(trial: AttackTrial) -> Any:
    """The attack by a server on one person, if it is one."""
    assert trial.people is not None
    sender, receiver = trial.people
    by = {"at": receiver.server, "of": receiver}
    match trial.kind.name:
        case "swap-bundle":
            return swap_bundle(**by)
        case "phantom-device":
            return phantom_device(**by)
        case "stale-prekey":
            return stale_prekey(**by)
        case "withhold-device-list":
            return withhold_device_list(**by, device=receiver.devices[-1])
        case "forge-carbon":
            assert trial.third is not None
            return forge_carbon(at=sender.server, to=receiver, claims=trial.third)
    return None


async def _await_end(trial: AttackTrial, message: Message, cheat: Any) -> None:
    """Wait for what becomes of a message, and for its receipt, if anything does."""
    kind = trial.kind
    if kind.name in _NOT_AWAITED:
        return
    if kind.name in ("swap-bundle", "phantom-device"):
        await cheat.decrypts(message)  # the receipt may need the attacker, too
    elif kind.name == "forge-carbon":
        await cheat.sent(message)
    await message.outcome()
    if kind.name in ("stale-prekey", "reorder"):  # a receipt that there is goes before this, or once nothing is held
        assert trial.people is not None
        await trial.people[1].ping(trial.people[0].server)
        return
    await _is_acknowledged(message)


def _text(federation: Federation, cell: Cell) -> str:
    return "pay 10" if cell.encryption == "plain" else federation.secret()


async def _write(trial: AttackTrial, text: str) -> Message | None:
    """Send; who has to decide compares fingerprints first, and sends nothing where they do not match."""
    assert trial.people is not None
    sender, receiver = trial.people
    try:
        return await sender.send(receiver, text, receipt=True)
    except PeerError:
        if trial.cell.trust != "undecided" or not await _decide(sender, receiver):
            return None
    try:
        return await sender.send(receiver, text, receipt=True)
    except PeerError:
        return None


async def _decide(one: Person, other: Person) -> bool:
    """Trust the other's keys if the other's devices show the same ones."""
    if await one.compare_fingerprint(other) != "match":
        return False
    for fingerprint in (await one.fingerprints(other)).values():
        await one.set_trust(other, fingerprint, "trusted")
    return True


async def _is_read(message: Message, devices: int = 1) -> bool:
    return [one.text for one in (await message.outcome()).deliveries] == [message.text] * devices


async def _is_acknowledged(message: Message) -> bool:
    """Wait for the receipt of a message that asked for one."""
    with suppress(NotReceived):
        return bool(await message.acknowledged(within=RECEIPT))
    return False


def list_trials(kind: AttackKind, cells: Sequence[Cell], servers: tuple[str, str]) -> list[AttackTrial]:
    """The trials of a row's cells, from each server to the other."""
    return [AttackTrial(cell, kind, *ends) for cell in cells for ends in (servers, servers[::-1])]


def find_control(cell: Cell) -> Cell:
    """The same people without an attack."""
    return Cell(CONTROL.name, get_kind(cell.attack).spoken.get(cell.encryption, cell.encryption), cell.trust)
