"""A server that somebody runs by hand: what `up` says is enough to start one, and it federates both ways.

Here it is a Prosody of the lab's own tree, started and configured without the lab, on a loopback address of its own.
"""

import asyncio
import contextlib
import os
import re
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.federation import Federation, Person
from lab.federation.devices import Device
from lab.history.recorder import Recorder
from lab.lifecycle.up import up
from lab.servers.prosody.launch import build_command, build_environment
from lab.servers.software import Blueprint
from lab.system.processes import SERVER_UID
from lab.topology.spec import Link, Server, Topology
from tests.network import labs
from tests.runtime.helpers import facts_of

pytestmark = pytest.mark.live

ADDRESS = f"{labs.loopback()}.77.1"
HOME = Server("home", "home.test", "prosody", "13.0")

CONFIGURATION = """
interfaces = {{ "{address}" }} s2s_ports = {{ {s2s} }} c2s_ports = {{ {c2s} }}
modules_enabled = {{ "roster"; "saslauth"; "tls"; "disco"; "ping"; }}
c2s_direct_tls_ports = {{}} s2s_direct_tls_ports = {{}} http_ports = {{}} https_ports = {{}}
authentication = "internal_plain" s2s_secure_auth = true
data_path = "data" pidfile = "mine.pid" admin_socket = "mine.sock" log = "*console"
ssl = {{ certificate = "{certs}/mine.test.crt"; key = "{certs}/mine.test.key"; cafile = "{certs}/authority.pem";
  capath = "{certs}" }}
unbound = {{ resolvconf = false; hoststxt = false; forward = "{dns}";
  options = {{ ["local-zone:"] = "test. transparent"; ["do-not-query-localhost:"] = "no" }} }}
VirtualHost "mine.test"
"""

#: What `up` says to the person.
SAID = re.compile(r"mine\.test is yours to run: listen at (\S+), ask the DNS at (\S+) port (\d+), .* are in (\S+)")


def free_port() -> int:
    """A port that nobody listens on at our address."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


async def blueprint() -> Blueprint:
    """Where Prosody lies on this machine."""
    facts = await facts_of(HOME)
    return Blueprint(
        spec=HOME, address="", folder=".", prefix=dict(facts.prefixes)["prosody@13.0"],
        modules=facts.modules.format(software="prosody", version="13.0"), dns=("", 0), allow=None, probes=(),
        libraries=facts.libraries,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def prosody_by_hand(said: re.Match[str], c2s: int, password: str) -> AsyncIterator[Path]:
    """Start it as a person would who has read `said`; ended by its pid."""
    folder = Path(tempfile.mkdtemp(prefix="by-hand-"))
    s2s, certs = said[1].rpartition(":")[2], said[4]
    text = CONFIGURATION.format(address=ADDRESS, s2s=s2s, c2s=c2s, certs=certs, dns=f"{said[2]}@{said[3]}")
    (folder / "prosody.cfg.lua").write_text(text)
    accounts = folder / "data/mine%2etest/accounts"
    accounts.mkdir(parents=True)
    (accounts / "bob.dat").write_text(f'return {{ ["password"] = "{password}" }}')
    uid = SERVER_UID if os.geteuid() == 0 else None
    for path in (folder, *folder.rglob("*")) if uid else ():
        os.chown(path, uid, uid)
    made = await blueprint()
    with (folder / "output").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *build_command(made), cwd=folder, stdout=output, stderr=output, stdin=asyncio.subprocess.DEVNULL,
            user=uid, group=uid, extra_groups=[] if uid else None,
            env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **dict(build_environment(made))},
        )  # fmt: skip
    try:
        yield folder
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        shutil.rmtree(folder)


async def test_what_up_says_is_enough_and_messages_go_both_ways(tmp_path: Path) -> None:
    port, c2s = free_port(), free_port()
    mine = Server("mine", "mine.test", "external", "", address=f"{ADDRESS}:{port}")
    topology = Topology("by-hand", "", (mine, HOME), (Link("mine", "home"),))
    told: asyncio.Queue[str] = asyncio.Queue()
    starting = asyncio.create_task(up(topology, runtime="processes", owned=True, progress=told.put_nowait, patience=90))
    try:
        said = await what_is_said(told)
    except TimeoutError:
        starting.cancel()
        await asyncio.wait([starting])
        raise
    assert said[1] == mine.address
    certs = Path(said[4])
    password = (certs.parent.parent.parent / "secret").read_text().split()[0]
    async with prosody_by_hand(said, c2s, password) as folder:
        try:
            lab = await starting
        except BaseException:
            print((folder / "output").read_text())
            raise
        try:
            assert lab.unknown == ()
            await both_ways(lab, c2s, tmp_path)
        finally:
            await lab.down()
    assert not certs.exists()


async def what_is_said(told: asyncio.Queue[str]) -> re.Match[str]:
    """The sentence for the person who runs the server."""
    async with asyncio.timeout(30):
        while not (said := SAID.search(await told.get())):
            pass
        return said


async def both_ways(lab, c2s: int, folder: Path) -> None:
    with Recorder(folder / "history.jsonl") as history:
        async with Federation(lab, history) as federation:
            server = federation.server("mine")
            assert server.address == ADDRESS
            server.c2s_port = c2s
            alice = await federation.server("home").person("alice")
            bob = Person(federation.participants, server, "bob")
            device: Device = await bob.add_device()
            there, back = await alice.send(bob, "hello"), await bob.send(alice, "good day")
            assert [one.device for one in (await there.outcome()).deliveries] == [device.jid]
            assert [one.text for one in (await back.outcome()).deliveries] == ["good day"]


async def test_who_does_not_start_it_is_told_once_more_how(tmp_path: Path) -> None:
    from lab.errors import NotReady

    mine = Server("mine", "mine.test", "external", "", address=f"{ADDRESS}:{free_port()}")
    topology = Topology("by-hand", "", (mine, replace(HOME)), (Link("mine", "home"),))
    with pytest.raises(NotReady, match="home to mine") as caught:
        await up(topology, runtime="processes", owned=True, patience=1.5)
    assert any(SAID.search(line) for line in caught.value.evidence), caught.value.evidence
