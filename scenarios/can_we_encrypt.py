import asyncio
import difflib
from collections import defaultdict
from collections.abc import Coroutine
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from lab import Federation, LabError, NotApplicable, UserError, expect, record_table, scenario, step
from lab.federation import Attempt, Person, ServerHandle

T = TypeVar("T")
CLIENTS = {"0.3": "omemo", "2": "omemo:2", "both": "omemo+omemo:2", "otr": "otr", "none": "plain"}
OMEMO = ("0.3", "2", "both")
SOFTWARE = {"prosody": "ejabberd", "ejabberd": "prosody"}  # each with that of the other end
POLICIES = ("allows", "contacts", "no-pep", "drops")
WORDS = {
    "refused": "refused, nothing is sent",
    "lost": "accepted, encrypted, and dropped: nobody is told",
    "unread": "delivered, encrypted, and not read",
}
NOTES = (
    "from, to: OMEMO 0.3, OMEMO 2, both, OTR, no encryption; what a cell names is what was read",
    "contacts: keys cannot be opened to strangers; no-pep: no keys are published; drops: encrypted messages vanish",
    "*: it is the sender's own server that does so, the receiver's allows all",
)
REFERENCE = Path(__file__).with_suffix(".txt")  # the tables as they were with Prosody 13.0 and ejabberd 24.12


class Column(NamedTuple):
    """What all cells of a column have in common."""

    software: str
    name: str
    sender: str  # the sender's server
    receiver: str  # the receiver's server


class Cell(NamedTuple):
    """What a sender's client ends up with, who writes to a receiver's client for the first time."""

    column: Column
    sender: str
    receiver: str


def list_columns() -> list[Column]:
    """For each software: the receiver's server does this, the sender's allows all; then the other way round."""
    columns = []
    for one, other in SOFTWARE.items():
        columns += [Column(one, name, f"{other}-allows", f"{one}-{name}") for name in POLICIES]
        columns += [Column(one, f"{name}*", f"{one}-{name}", f"{other}-allows") for name in POLICIES[1:]]
    return columns


@scenario(
    spec="XEP-0384, XEP-0163, XEP-0364",
    expects={"delivery": "failed"},
    topology="encryption-policies",
    encryptions=["otr"],
)
async def can_we_encrypt(federation: Federation) -> None:
    """Two strangers want to write: what they end up with, by their clients and by what their servers allow."""
    columns = list_columns()
    try:
        servers = {one.name: one for one in map(federation.server, {name for it in columns for name in it[2:]})}
    except UserError as error:
        raise NotApplicable(f"it needs the topology encryption-policies: {error}") from None
    with step("the receivers go online, one with each client on each server"):
        receivers = dict(zip(names := [*dict.fromkeys(one.receiver for one in columns)], await run_all(
            *(make_people(servers[name], "receiver") for name in names)), strict=True))  # fmt: skip
    with step("the senders write to each of them, for the first time"):
        found, turns = dict[Cell, str](), defaultdict[Person, asyncio.Lock](asyncio.Lock)
        await run_all(
            *(fill(federation, one, servers[one.sender], receivers[one.receiver], turns, found) for one in columns)
        )
    text = "\n".join(build_table(software, columns, found) for software in SOFTWARE)
    with step("nothing was sent in the clear by a device that was to encrypt"):
        expect([cell for cell, value in found.items() if value.startswith("exposed")], [])
    with step("each cell is known, and as it was"):
        if unknown := [f"{cell}: {value}" for cell, value in found.items() if value.startswith("unknown")]:
            raise LabError(f"{len(unknown)} of {len(found)} cells are unknown: {unknown[0]}")
        before = REFERENCE.read_text(encoding="utf-8")
        changes = [line for line in difflib.ndiff(before.splitlines(), text.splitlines()) if line[0] in "+-"]
        expect(changes, [])


async def run_all(*coroutines: Coroutine[Any, Any, T]) -> list[T]:
    """What they return, run at the same time. If one of them raises, the others are cancelled."""
    tasks = [asyncio.ensure_future(one) for one in coroutines]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def make_people(server: ServerHandle, name: str) -> dict[str, Person]:
    """A person with each client, online whether or not the server takes what it publishes."""
    made = await run_all(*(server.person(name, encryption=one, keys_optional=True) for one in CLIENTS.values()))
    return dict(zip(CLIENTS, made, strict=True))


async def fill(
    federation: Federation,
    column: Column,
    server: ServerHandle,
    receivers: dict[str, Person],
    turns: dict[Person, asyncio.Lock],
    found: dict[Cell, str],
) -> None:
    """Measure the cells of a column: its senders at the same time, each of them one receiver after the other.

    First messages with OMEMO take turns at each receiver: two that are under way may use the same prekey, of which the
    receiver has one only (XEP-0384 0.3 section 4.3).
    """
    senders = await make_people(server, "sender")

    async def write(client: str) -> None:
        for other, receiver in receivers.items():
            text = federation.secret() if client != "none" else "hello"
            async with turns[receiver] if client in OMEMO else nullcontext():
                try:
                    value = describe(await senders[client].attempt(receiver, text), senders[client], receiver)
                except LabError as error:
                    value = f"unknown: {error}"
            found[Cell(column, client, other)] = value

    await run_all(*map(write, CLIENTS))


def describe(attempt: Attempt, sender: Person, receiver: Person) -> str:
    """The encryption with which a message was read, or what became of it instead."""
    if attempt.result == "read":
        return attempt.encryption
    reason = attempt.reason.replace(receiver.jid, "RECEIVER").replace(sender.jid, "SENDER").removeprefix("not sent: ")
    reason = reason.partition(" (this one uses")[0]  # the row says which
    return f"{WORDS.get(attempt.result, attempt.result)}{': ' * bool(reason)}{reason}"


def build_table(software: str, columns: list[Column], found: dict[Cell, str]) -> str:
    """Record the table of a software; what is no encryption is a letter, which the notes explain."""
    mine, letters = [one for one in columns if one.software == software], dict[str, str]()

    def show(value: str) -> str:
        return value if value in CLIENTS.values() else letters.setdefault(value, chr(ord("a") + len(letters)))

    pairs = [(one, other) for one in CLIENTS for other in CLIENTS]
    rows = [[*pair, *(show(found[Cell(column, *pair)]) for column in mine)] for pair in pairs]
    notes = [*NOTES, *(f"{letter}: {value}" for value, letter in letters.items())]
    title = f"{software}: the first message to a stranger, by what the receiver's server does"
    return record_table(title, ["from", "to", *(column.name for column in mine)], rows, notes)
