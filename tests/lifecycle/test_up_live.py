"""Labs of plain processes come up, are found again, differ, fail with evidence, and end without a trace."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import NotReady, PeerError, UserError
from lab.lifecycle import registry, status
from lab.lifecycle import up as labs
from lab.lifecycle.cleanup import sweep
from lab.lifecycle.client_settings import build_client_settings
from lab.lifecycle.down import down
from lab.lifecycle.lab import Lab
from lab.plan import build as planning
from lab.plan.layout import Layout
from lab.runtime.build_cache import find_cache
from lab.servers.conventions import FEED
from lab.servers.software import File, WriteFiles
from lab.topology.files import load
from lab.topology.spec import Link, Server, Topology
from tests.runtime.helpers import is_freed, left_of, pair, unique

pytestmark = pytest.mark.live


@contextlib.asynccontextmanager
async def running(topology: Topology, what: str, **options: object) -> AsyncIterator[Lab]:
    name = unique(what)
    lab = await labs.up(topology, runtime="processes", name=name, **options)
    try:
        yield lab
    finally:
        await lab.down()
        assert left_of(name) == []
        assert is_freed(lab.plan.facts.network)


@pytest.fixture(scope="module")
async def mixed() -> AsyncIterator[Lab]:
    async with running(pair("prosody", "ejabberd", users=2), "mixed") as lab:
        yield lab


async def test_ready_means_federated(mixed: Lab) -> None:
    states = await mixed.read_states()
    assert {name: state.running for name, state in states.items()} == {"a": True, "b": True}
    async with mixed.open_control() as control:
        relays = (await control.call("status"))["relays"]
    assert all(relay["bytes"] > 0 for relay in relays), relays
    assert mixed.unknown == ()


async def test_folders_are_closed(mixed: Lab) -> None:
    for path in (mixed.layout.secret, mixed.layout.plan, mixed.layout.control, mixed.layout.server("a") / FEED):
        assert path.stat().st_mode & 0o077 == 0, path
    assert mixed.layout.server("a").stat().st_mode & 0o777 == 0o700
    assert mixed.password not in mixed.layout.plan.read_text()


async def test_accounts_are_made_on_both(mixed: Lab) -> None:
    for server in ("a", "b"):
        await mixed.create_accounts(server, ["later1", "later2"])


async def test_a_refusal_is_a_peer_error(mixed: Lab) -> None:
    with pytest.raises((PeerError, UserError)):
        await mixed.operate("a", [WriteFiles((File("../outside", "x"),))])


async def test_the_same_plan_again_is_the_same_lab(mixed: Lab) -> None:
    said: list[str] = []
    again = await labs.up(mixed.plan.topology, runtime="processes", name=mixed.name, progress=said.append)
    assert again.plan == mixed.plan
    assert again.password == mixed.password
    assert "nothing to do" in said[-1]
    assert await registry.find(mixed.plan.topology, "processes")
    assert (await registry.attach(mixed.name)).keys == mixed.keys


async def test_another_plan_touches_nothing(mixed: Lab) -> None:
    before = await mixed.read_states()
    other = replace(mixed.plan.topology, links=(Link("a", "b", direct=True),))
    with pytest.raises(UserError, match=r"(?s)direct.*--recreate"):
        await labs.up(other, runtime="processes", name=mixed.name)
    assert await mixed.read_states() == before
    assert await registry.find(replace(other, name="nobody-has-this"), "processes") is None


async def test_commands_beside_a_server(mixed: Lab, capfd: pytest.CaptureFixture[str]) -> None:
    assert await mixed.execute("a", ["prosodyctl", "shell", "user", "list", "a.test"]) == 0
    assert "user1@a.test" in capfd.readouterr().out
    assert await mixed.execute("b", ["ejabberdctl", "registered_users", "b.test"]) == 0
    assert "user1\n" in capfd.readouterr().out
    assert await mixed.execute("b", ["ejabberdctl", "register", "j\u00fcrgen", "b.test", "two words"]) == 0
    assert await mixed.execute("b", ["ejabberdctl", "registered_users", "b.test"]) == 0
    assert "\nj\u00fcrgen\n" in capfd.readouterr().out
    assert await mixed.execute("b", ["ejabberdctl", "no-such-command"]) == 1
    assert "unknown command" in capfd.readouterr().out
    assert await mixed.execute("b", ["sh", "-c", "exit 7"]) == 7
    with pytest.raises(UserError, match="not found in the environment of b"):
        await mixed.execute("b", ["no-such-command"])


async def test_a_home_with_other_letters_than_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = find_cache()
    with tempfile.TemporaryDirectory(
        prefix="j\u00fcrgen-\u65e5\u672c-"
    ) as folder:  # short, because of the sockets' paths
        Path(folder).chmod(0o711)  # servers that root starts must reach it
        monkeypatch.setenv("XMPPLAB_HOME", folder)
        monkeypatch.setenv("XMPPLAB_CACHE", str(shared))
        async with running(pair("prosody", "ejabberd", users=1), "letters") as lab:
            assert all(state.running for state in (await lab.read_states()).values())
            assert await lab.execute("b", ["ejabberdctl", "status"]) == 0
            await lab.create_accounts("b", ["later"])


async def test_internationalized_domains(tmp_path: Path) -> None:
    """Ready means federated; clients find both servers by the ASCII form in SNI, also for direct TLS and uploads."""
    file = tmp_path / "idn.yaml"
    file.write_text(
        "servers:\n  a: {domain: b\u00fccher.test}\n  b: {domain: \u4f8b\u3048.test, software: ejabberd}\n"
        "defaults: {users: 1}\nlinks: [{between: [a, b]}]\n"
    )
    async with running(load(file), "idn") as lab:
        trusted = ssl.create_default_context(cafile=lab.layout.authority / "authority.pem")
        for name, domain in (("a", "xn--bcher-kva.test"), ("b", "xn--r8jz45g.test")):
            for port, host in ((5223, domain), (5281, f"upload.{domain}")):
                address = lab.plan.server(name).address
                _, writer = await asyncio.open_connection(address, port, ssl=trusted, server_hostname=host)
                names = writer.get_extra_info("peercert")["subjectAltName"]
                writer.close()
                assert ("DNS", host) in names, names


async def test_status_tells(mixed: Lab) -> None:
    (found,) = [one for one in await status.read_status() if one.name == mixed.name]
    assert (found.phase, found.runtime, found.owned) == ("ready", "processes", False)
    assert found.states["b"].running


async def test_json_has_what_a_client_program_needs(mixed: Lab) -> None:
    """A program that has nothing but this logs in."""
    found = build_client_settings(mixed.layout, mixed.plan.server("a"), mixed.password)
    authority = ssl.create_default_context(cafile=found["authority"])
    address = mixed.plan.server("a").address
    reader, writer = await asyncio.open_connection(address, found["client_port"])
    writer.write(
        b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
        b"to='a.test' version='1.0'>"
    )
    await reader.readuntil(b"</stream:features>")
    writer.write(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    await reader.readuntil(b"<proceed")
    await reader.readuntil(b">")
    await writer.start_tls(authority, server_hostname="a.test")
    writer.close()
    assert found["accounts"] == ["user1@a.test", "user2@a.test"]
    assert found["secret"] == {"password": mixed.password}
    assert mixed.layout.secret.read_text().split()[0] == mixed.password


async def test_recreate_ends_the_old_one() -> None:
    async with running(pair(), "again") as first:
        other = replace(first.plan.topology, links=(Link("a", "b", direct=True),))
        second = await labs.up(other, runtime="processes", name=first.name, recreate=True)
        assert second.plan.topology == other
        assert second.password != first.password


async def test_a_lab_of_which_a_server_has_ended_is_not_thrown_away() -> None:
    async with running(pair(), "maimed") as lab:
        os.kill((await lab.read_states())["b"].pid or 0, signal.SIGKILL)
        async with asyncio.timeout(60):
            while (await lab.read_states())["b"].running:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        other = replace(lab.plan.topology, links=())
        for wanted in (lab.plan.topology, other):
            with pytest.raises(UserError, match=r"(?s)server b has ended \(.*--recreate"):
                await labs.up(wanted, runtime="processes", name=lab.name)
        with pytest.raises(UserError, match="server b has ended"):
            await registry.attach(lab.name)
        rest = await registry.attach(lab.name, whole=False)
        assert rest.ended == ("server b has ended (ended by SIGKILL)",)
        assert await rest.execute("a", ["true"]) == 0
        (found,) = [one for one in await status.read_status() if one.name == lab.name]
        assert (found.phase, found.ended) == ("broken", ("b (ended by SIGKILL)",))
        assert (await lab.read_states())["a"].running
        again = await labs.up(lab.plan.topology, runtime="processes", name=lab.name, recreate=True)
        assert (await again.read_states())["b"].running


async def test_two_labs_at_once_have_their_own_addresses() -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(labs.up(pair(), runtime="processes", name=unique("two"))) for _ in range(2)]
    first, second = (task.result() for task in tasks)
    try:
        assert first.plan.facts.network != second.plan.facts.network
        await first.down()
        assert all(state.running for state in (await second.read_states()).values())
    finally:
        await first.down()
        await second.down()
    assert left_of(first.name) + left_of(second.name) == []


async def test_a_server_that_ends_shows_why(monkeypatch: pytest.MonkeyPatch) -> None:
    build = planning.build

    def sabotaged(*arguments: object) -> object:
        plan = build(*arguments)  # type: ignore[arg-type]
        first = plan.servers[0]
        files = tuple(replace(one, text=f"this is no Lua\n{one.text}") for one in first.files)
        return replace(plan, servers=(replace(first, files=files), *plan.servers[1:]))

    monkeypatch.setattr(labs, "build", sabotaged)
    name = unique("broken")
    with pytest.raises(NotReady, match="a: ended before being ready") as caught:
        await labs.up(pair(), runtime="processes", name=name)
    assert any("prosody.cfg.lua" in line for line in caught.value.evidence), caught.value.evidence
    assert left_of(name) == []


async def test_an_edge_that_does_not_answer_is_named() -> None:
    """The far end is a server that the person runs themselves, and does not."""
    servers = (
        Server(name="a", domain="a.test", software="prosody", version="13.0"),
        Server(name="b", domain="b.test", software="external", version="", address="127.0.0.1:9"),
    )
    name = unique("silent")
    with pytest.raises(NotReady, match="a to b"):
        await labs.up(Topology("half", "", servers, (Link("a", "b"),)), runtime="processes", name=name, patience=2.0)
    assert left_of(name) == []


async def test_a_cancelled_up_leaves_nothing() -> None:
    name = unique("cancelled")
    task = asyncio.create_task(labs.up(pair(), runtime="processes", name=name))
    while not Layout.of(name).service.exists():
        await asyncio.sleep(0.01)
        assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left_of(name) == []


PYTHON = "/usr/bin/python3"  # servers run as another user, who may not enter the folder of ours
SILENT = """
import os, socket, time
kept = [socket.create_server((os.environ["XMPPLAB_ADDRESS"], port)) for port in (5222, 5269)]
time.sleep(1000)
"""


@pytest.mark.skipif(not Path(PYTHON).exists(), reason=f"{PYTHON} is needed, which every user can run")
async def test_a_server_that_misbehaves_costs_as_long_as_was_said_and_can_be_looked_at(tmp_path: Path) -> None:
    """It accepts connections and nothing else: the first line says so, and with `keep` it stays for a look."""
    mine = {"name": "silent", "command": [PYTHON, "-c", SILENT]}
    (tmp_path / "silent.yaml").write_text(json.dumps(mine))
    topology, name = load(f"pair,software={tmp_path}/silent.yaml+prosody"), unique("silent")
    said = r"^not ready after 1 s; likely cause: a at .* accepts connections, but answers no stream header"
    with pytest.raises(NotReady, match=said):
        await labs.up(topology, runtime="processes", name=name, patience=1.0)
    assert left_of(name) == []
    try:
        with pytest.raises(NotReady, match=f"it is left up: .*xmpplab down {name}"):
            await labs.up(topology, runtime="processes", name=name, patience=1.0, keep=True)
        await sweep()
        (found,) = [one for one in await status.read_status() if one.name == name]
        assert (found.phase, found.ended) == ("not-ready", ())
        with pytest.raises(UserError, match=r"is not up \(phase not-ready\)"):
            await registry.attach(name)
        assert await (await registry.attach(name, whole=False)).execute("a", ["true"]) == 0
    finally:
        await down(name)
    assert left_of(name) == []
