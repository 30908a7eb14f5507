import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from lab import Federation, LabError, NotApplicable, expect, record_table, scenario, step
from lab.errors import TimedOut
from lab.faults import certificate, dns, partition, reset_streams
from lab.federation import Person, ServerHandle
from lab.history.events import ServerStreamClosed

SILENCE = 130.0  # seconds after which nobody expects to be told any more
#: Those after which it is silent come first, so that they are dealt to different receivers.
CAUSES = (
    "forbidden by the receiver's server",
    "stanza too big for the receiver's server",
    "receiver's server unreachable",
    "forbidden by the sender's server",
    "receiver's name does not exist",
    "receiver's port refuses",
    "receiver's certificate wrong",
)
BY_RECEIVER, TOO_BIG, UNREACHABLE, BY_SENDER, NO_NAME, REFUSED, CERTIFICATE = CAUSES
NOTES = (
    "at once: within 5 seconds; others to the nearest 10 seconds",
    f"nothing: the sender is not told within {SILENCE:g} seconds, and the message does not arrive",
)
REFERENCE = Path(__file__).with_suffix(".txt")  # the tables as they were with Prosody 13.0 and ejabberd 24.12


class Cell(NamedTuple):
    """What is measured: a message that meets a cause, on its way from a server to another."""

    cause: str
    sender: str  # software and version
    receiver: str


@scenario(spec="RFC 6120 8.3.3, 10.4", expects={"delivery": "failed"}, topology="bounces")
async def bounces(federation: Federation) -> None:
    """A message cannot reach the other server: what its sender is told, by the cause and by the two servers."""
    receivers = [one for one in federation.servers if one.spec.max_stanza_size and list_senders(one)]
    if not receivers:
        raise NotApplicable("it needs a server with a `max_stanza_size`, and one without that is linked to it")
    dealt, found = deal(receivers), dict[Cell, tuple[str, str]]()
    with step("each cause stands in the way of a message, on each ordered pair of softwares"):
        async with asyncio.TaskGroup() as group:
            for server, causes in dealt.items():
                group.create_task(measure(federation, server, causes, found))
    text = "\n".join(build_tables(found))
    with step("each cell is known, and those of the reference are as there"):
        if unknown := [f"{cell}: {value}" for cell, (value, _) in found.items() if value.startswith("unknown")]:
            raise LabError(f"{len(unknown)} of {len(found)} cells are unknown: {unknown[0]}")
        before, now = read_cells(REFERENCE.read_text(encoding="utf-8")), read_cells(text)
        expect({cell: row for cell, row in now.items() if cell in before and row != before[cell]}, {})


def list_senders(server: ServerHandle) -> list[ServerHandle]:
    """The neighbours of a receiver from which a large stanza can be sent."""
    return [one for one in server.neighbours if not one.spec.max_stanza_size]


def deal(receivers: list[ServerHandle]) -> dict[ServerHandle, list[str]]:
    """The causes that each receiver is to meet: all of them once for each software and version."""
    alike, dealt = defaultdict[str, list[ServerHandle]](list), defaultdict[ServerHandle, list[str]](list)
    for server in receivers:
        alike[describe(server)].append(server)
    for servers in alike.values():
        for number, cause in enumerate(CAUSES):
            dealt[servers[number % len(servers)]].append(cause)
    return dealt


def describe(server: ServerHandle) -> str:
    """Its software and version."""
    return f"{server.spec.software}@{server.spec.version}"


async def measure(
    federation: Federation, server: ServerHandle, causes: list[str], found: dict[Cell, tuple[str, str]]
) -> None:
    """Measure what all its neighbours' people are told who write to a server, one cause after the other."""
    receiver = await server.person("receiver")
    senders = [await one.person("sender") for one in list_senders(server)]
    for cause in causes:
        for sender in senders:
            await sender.ping(server)  # the streams are up, and the cause before is over
        cells = [Cell(cause, describe(sender.server), describe(server)) for sender in senders]
        text = "x" * 2 * (server.spec.max_stanza_size or 0) if cause == TOO_BIG else "hello"
        try:
            async with obstruct(federation, cause, senders, server):
                results = await asyncio.gather(*(write(federation, one, receiver, text) for one in senders))
        except NotApplicable:
            results = [("not tried", "")] * len(senders)
        except LabError as error:
            results = [(f"unknown: {error}", "")] * len(senders)
        found.update(zip(cells, results, strict=True))
    for sender in senders:
        await sender.ping(server)


@asynccontextmanager
async def obstruct(
    federation: Federation, cause: str, senders: list[Person], server: ServerHandle
) -> AsyncIterator[None]:
    """Have a cause in the way from people to a server, for the length of a block; there is no stream when it begins."""
    began, links = federation.history.now(), [federation.link(one.server, server) for one in senders]
    faults = {
        NO_NAME: [dns(link, direction="to", how="nxdomain") for link in links],
        REFUSED: [partition([server], how="refuse")],
        UNREACHABLE: [partition([server], how="blackhole")],
        CERTIFICATE: [certificate(server, how="self-signed")],
    }.get(cause, [])
    async with AsyncExitStack() as stack:
        for fault in faults:
            await stack.enter_async_context(federation.inject(fault))
        if cause in (NO_NAME, UNREACHABLE, CERTIFICATE):
            for link in links:
                await stack.enter_async_context(federation.inject(reset_streams(link)))
        if cause == BY_RECEIVER:
            for link in links:
                await server.refuse(link.source)
                stack.push_async_callback(server.accept, link.source)
        if cause == BY_SENDER:
            for link in links:
                await link.source.refuse(server)
                stack.push_async_callback(link.source.accept, server)
        if cause != TOO_BIG:
            await asyncio.gather(*(wait_closed(federation, link.source, server, began) for link in links))
        yield


async def wait_closed(federation: Federation, source: ServerHandle, target: ServerHandle, since: float) -> None:
    """Return once a server has reported that its stream to another has ended. Raises TimedOut after 30 seconds."""
    while federation.history.now() < since + 30:
        await federation.catch_up()
        for event in federation.history.events:
            if not isinstance(event, ServerStreamClosed) or event.at < since:
                continue
            if (event.server, event.stream, event.peer) == (source.name, "s2s", target.domain):
                return
        await asyncio.sleep(0.25)
    raise TimedOut(f"{source} has not reported within 30 s that its stream to {target} ended")


async def write(federation: Federation, sender: Person, receiver: Person, text: str) -> tuple[str, str]:
    """What the sender of a message is told, and after which time."""
    began = federation.history.now()
    outcome = await (await sender.send(receiver, text)).outcome(within=SILENCE)
    if outcome.deliveries:
        return "delivered", ""
    if not outcome.bounces:
        return "nothing", ""
    after = outcome.bounces[0].at - began
    return outcome.bounces[0].condition, "at once" if after < 5 else f"{round(after, -1):.0f} s"


def build_tables(found: dict[Cell, tuple[str, str]]) -> list[str]:
    """Record a table for each ordered pair of softwares; the notes are below the last."""
    pairs = sorted({cell[1:] for cell in found})
    return [
        record_table(
            f"from {sender} to {receiver}",
            ["cause", "returned with", "after"],
            [[one, *found[cell]] for one in CAUSES if (cell := Cell(one, sender, receiver)) in found],
            NOTES if (sender, receiver) == pairs[-1] else (),
        )
        for sender, receiver in pairs
    ]


def read_cells(text: str) -> dict[Cell, list[str]]:
    """What the tables say of each cell, from their text."""
    cells, sender, receiver = dict[Cell, list[str]](), "", ""
    for line in text.splitlines():
        if title := re.fullmatch(r"from (\S+) to (\S+)", line):
            sender, receiver = title.groups()
        cause, *said = re.split(r" {2,}", line)
        if cause in CAUSES:
            cells[Cell(cause, sender, receiver)] = said
    return cells
