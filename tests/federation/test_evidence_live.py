"""Streams, DNS answers and logs of real servers are in the history before anything is judged."""

import asyncio
from pathlib import Path

import pytest

from lab.federation import Federation
from lab.history.events import DnsAnswered, ServerLogged, ServerSaw, ServerStreamClosed, ServerStreamOpened
from lab.history.recorder import Recorder
from lab.lifecycle.up import up
from lab.topology.files import load

pytestmark = pytest.mark.live


async def recorded(history: Recorder, kind: type, **fields: str):
    """The first event of a kind with these fields; waits for it."""
    changed = asyncio.Event()
    history.on_event(lambda _: changed.set())
    async with asyncio.timeout(30):
        while True:
            changed.clear()
            for event in history.events:
                if isinstance(event, kind) and all(getattr(event, key) == value for key, value in fields.items()):
                    return event
            await changed.wait()


@pytest.mark.parametrize("software", [pytest.param("prosody", marks=pytest.mark.slow), "ejabberd"])
async def test_streams_and_names_while_the_scenario_runs(software: str, tmp_path: Path) -> None:
    lab = await up(load(f"pair,software={software}+scripted"), runtime="processes", owned=True)
    try:
        with Recorder(tmp_path / "history.jsonl") as history:
            async with Federation(lab, history) as federation, federation.peer() as peer:
                real = next(server for server in federation.servers if server.name != peer.server.name)
                alice = await real.person("alice")
                opened = await recorded(history, ServerStreamOpened, server=real.name, stream="c2s")
                assert opened.peer == alice.devices[0].jid
                assert opened.tls.startswith("TLS")
                assert opened.authentication.startswith("SCRAM-SHA-")
                message = await alice.send(peer.person("robot"), "hello")
                await peer.expect(message.id)
                for name, other in ((real.name, peer.server), (peer.server.name, real)):
                    stream = await recorded(history, ServerStreamOpened, server=name, peer=other.domain)
                    assert stream.tls.startswith("TLS")
                    assert stream.authentication == "EXTERNAL"
                await recorded(history, DnsAnswered, asker=real.name, rcode="NOERROR", type="SRV")
                await recorded(history, ServerSaw, server=real.name, stream="s2s", direction="out", id=message.id)
                await peer.close(condition="policy-violation")
                closed = await recorded(
                    history, ServerStreamClosed, server=real.name, direction="out", peer=peer.domain
                )
                assert (closed.condition, closed.by) == ("policy-violation", "peer")
                assert closed.authentication == "EXTERNAL"
                opened_ids = {
                    one.id
                    for one in history.events
                    if isinstance(one, ServerStreamOpened) and (one.server, one.direction) == (real.name, "out")
                }
                assert closed.id in opened_ids
                # The other server does not answer any more: what it could not do stands in the server's log.
                await peer.behave(streams="refuse")
                await alice.send(peer.person("robot"), "hello")
                failed = await recorded(history, ServerStreamClosed, server=real.name, authentication="")
                assert failed.direction == "out"
                if software == "ejabberd":
                    logged = await recorded(history, ServerLogged, server=real.name, level="warning")
                    assert peer.domain in logged.text
                await alice.devices[0].send_raw("<message to='nobody'><body></message>")
                closed = await recorded(history, ServerStreamClosed, server=real.name, stream="c2s")
                assert (closed.condition, closed.by, closed.peer) == ("not-well-formed", "server", opened.peer)
    finally:
        await lab.down()
