"""An exported Compose project runs without xmpplab, and federates as its topology has it."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from slixmpp import ClientXMPP

from lab.exports.compose import FIRST_PORT, export_compose
from lab.runtime.containers.engine import DockerEngine
from lab.runtime.containers.image_specs import find_server_image
from lab.runtime.containers.preparation import provide
from lab.runtime.exported_files import write_export
from lab.topology.files import load
from tests.exports.test_server import export

pytestmark = [pytest.mark.containers, pytest.mark.slow]

COMPOSE = "docker-compose"


class Project:
    """A project in a folder, with the images that labs use as bases: no registry is needed."""

    def __init__(self, folder: Path, topology: str) -> None:
        self.folder, self.topology = folder, load(topology)
        servers = self.topology.servers
        asyncio.run(provide(DockerEngine(), servers, print))
        images = {one.software: find_server_image(one.software, one.version).tag for one in servers}
        bases = {
            f"BASE_{one.software}_{one.version}".upper().replace(".", "_"): images[one.software] for one in servers
        }
        bases["BASE_AUTHORITY"] = images["prosody"]
        name = f"xmpplab-test-{secrets.token_hex(3)}"
        self.environment = {**os.environ, **bases, "COMPOSE": COMPOSE, "COMPOSE_PROJECT_NAME": name}
        for number, one in enumerate(servers):
            self.environment[f"PORT_{one.name.upper()}"] = "0"  # the engine chooses: others may run a project
            assert f"-{FIRST_PORT + number}}}" in export_compose(self.topology)[1].text
        write_export(folder, export_compose(self.topology))

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=280
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def port(self, server: str) -> int:
        return int(self.run(COMPOSE, "port", server, "5222").rpartition(":")[2])

    def end(self) -> None:
        self.run(COMPOSE, "--profile", "setup", "down", "--volumes", "--rmi", "local", "--timeout", "3")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The steps of the project's README.md."""
    if not shutil.which(COMPOSE):
        pytest.skip(f"{COMPOSE} is not installed")
    made = Project(tmp_path_factory.mktemp("compose") / "project", "hidden_island")
    try:
        made.run(COMPOSE, "build")
        made.run(COMPOSE, "run", "--rm", "authority")
        made.run(COMPOSE, "up", "--detach")
        made.run("sh", "accounts.sh")
        yield made
    finally:
        made.end()


class User(ClientXMPP):
    """Logs in through the published port, with the authority's certificate; nothing of the lab is in it."""

    def __init__(self, project: Project, server: str) -> None:
        passwords = dict(line.split() for line in (project.folder / "accounts.txt").read_text().splitlines())
        jid = f"user1@{project.topology.server(server).domain}"
        super().__init__(jid, passwords[jid])
        self.enable_direct_tls = False
        self.ca_certs = str(project.folder / "authority.pem")
        self.port = project.port(server)
        self.online = asyncio.get_running_loop().create_future()
        self.received: asyncio.Queue = asyncio.Queue()
        self.add_event_handler("session_start", self._started)
        self.add_event_handler("failed_all_auth", lambda _: self.online.set_exception(PermissionError(jid)))
        for event in ("message", "message_error"):
            self.add_event_handler(event, self.received.put_nowait)

    async def _started(self, _: object) -> None:
        self.send_presence()
        self.online.set_result(None)

    async def __aenter__(self) -> User:
        self.connect("127.0.0.1", self.port)
        await asyncio.wait_for(self.online, 60)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.disconnect()

    async def receive(self) -> tuple[str, str]:
        """The type of the next message, and its body or the condition of its error."""
        stanza = await asyncio.wait_for(self.received.get(), 60)
        return stanza["type"], stanza["error"]["condition"] if stanza["type"] == "error" else stanza["body"]


async def test_linked_servers_deliver_and_others_refuse(project: Project) -> None:
    async with User(project, "island") as island, User(project, "home") as home, User(project, "public") as public:
        for sender, receiver in ((island, home), (home, island), (home, public), (public, home)):
            sender.send_message(receiver.boundjid.bare, f"hello from {sender.boundjid.bare}")
            assert await receiver.receive() == ("normal", f"hello from {sender.boundjid.bare}")
        island.send_message(public.boundjid.bare, "hello?")
        assert await island.receive() == ("error", "not-allowed")
        public.send_message(island.boundjid.bare, "hello?")
        assert await public.receive() == ("error", "forbidden")


def test_only_clients_of_this_machine_get_in(project: Project) -> None:
    for server in ("island", "public"):
        container = project.run(COMPOSE, "ps", "-q", server).strip()
        published = project.run("docker", "port", container).split("\n")
        assert [line.partition("->")[2].strip().rpartition(":")[0] for line in published if line] == ["127.0.0.1"]


def test_keys_are_in_the_containers_only(project: Project) -> None:
    files = [path for path in project.folder.rglob("*") if path.is_file()]
    assert not [path for path in files if "PRIVATE KEY" in path.read_text()]
    assert (project.folder / "accounts.txt").stat().st_mode & 0o77 == 0
    told = project.run(COMPOSE, "exec", "-T", "home", "sh", "-c", "stat -c %a /certificates/*.key; ls /keys || true")
    assert told.split()[0] == "600"


def test_the_commands_for_real_servers_are_known_to_their_programs(project: Project) -> None:
    """Those of README.md and the daily scripts of `export server`, as far as no system is needed."""
    exported = export("ejabberd@24.12")
    for command in (*exported.production.retention, exported.production.reload, exported.production.check):
        assert command.startswith("ejabberdctl ")
        project.run(COMPOSE, "exec", "-T", "public", *command.split())
    (backup,) = re.findall(r"^ejabberdctl backup (\S+)$", exported.production.snapshot, re.M)
    (restore,) = (one for one in exported.production.restore if one.startswith("ejabberdctl "))
    copy = "/data/mnesia.backup"
    project.run(COMPOSE, "exec", "-T", "public", "ejabberdctl", "backup", copy)
    assert backup.endswith("/mnesia.backup")
    project.run(COMPOSE, "exec", "-T", "public", *restore.split()[:-1], copy)
