"""Real servers without a runtime: just enough to try what lab/servers renders. The runtimes have tests of their own.

Needs a tree of unpacked packages. DNS answers come from `Zones`, links are direct.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from lab.declarations.manifest import PORTS
from lab.network.authority import Authority
from lab.plan.model import Plan, RuntimeFacts
from lab.plan.zones import TTL, Zones
from lab.servers import get_software
from lab.servers.conventions import FEED, LOG, OUTPUT, READY
from lab.servers.software import HttpCall, ScramKeys, WriteFiles
from lab.system.scram import compute_server_key, compute_stored_key, derive_password
from tests.network.labs import loopback

NOBODY = 61747
PASSWORD = "not a secret, it is drawn for no lab"


def keys(password: str = PASSWORD) -> ScramKeys:
    """RFC 5802 section 3, with the lab's count."""
    salt, both = bytes(range(16)), []
    for name in ("sha1", "sha256"):
        salted = derive_password(name, password.encode(), salt, 4096)
        both.append((compute_stored_key(name, salted), compute_server_key(name, salted)))
    return ScramKeys(salt, 4096, both[0], both[1], password)


class Answers(asyncio.DatagramProtocol):
    """The DNS of one asker."""

    def __init__(self, zones: Zones, asker: str) -> None:
        self.zones, self.asker = zones, asker

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        query = dns.message.from_wire(data)
        question = query.question[0]
        answer = self.zones.answer(self.asker, question.name.to_text(), dns.rdatatype.to_text(question.rdtype))
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA | dns.flags.AA
        response.set_rcode(dns.rcode.from_text(answer.rcode))
        for record in answer.records:
            response.answer.append(dns.rrset.from_text(question.name, TTL, "IN", record.rtype, record.value))
        self.transport.sendto(response.to_wire(), addr)


class Lab:
    """Servers that run, by name."""

    def __init__(self, plan: Plan, root: Path) -> None:
        self.plan, self.root = plan, root
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def path(self, server: str, *parts: str) -> Path:
        return self.root.joinpath(server, *parts)

    def lines(self, server: str, name: str) -> list[dict]:
        with contextlib.suppress(FileNotFoundError):
            return [json.loads(line) for line in self.path(server, name).read_text().splitlines()]
        return []

    def write(self, server: str, files) -> None:
        for file in files:
            path = self.path(server, file.path)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.write_text(file.text)
            path.chmod(file.mode)
            if os.geteuid() == 0:
                os.chown(path, NOBODY, NOBODY)

    def start(self, name: str) -> None:
        server = self.plan.server(name)
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.path(name))} | dict(server.environment)
        as_root = os.geteuid() == 0
        if as_root:  # Prosody does not run as root
            for path in (self.path(name), *self.path(name).rglob("*")):
                os.chown(path, NOBODY, NOBODY)
        with self.path(name, OUTPUT).open("ab") as output:
            self.processes[name] = subprocess.Popen(
                server.command,
                cwd=self.path(name),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                **({"user": NOBODY, "group": NOBODY, "extra_groups": []} if as_root else {}),
            )

    async def until(self, what: str, condition, seconds: float = 30):
        """The first true value of the condition; fails with the servers' logs."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := condition():
                return value
            await asyncio.sleep(0.02)
        raise AssertionError(f"not within {seconds} s: {what}\n{self.evidence()}")

    async def operate(self, server: str, operations) -> None:
        for operation in operations:
            if isinstance(operation, WriteFiles):
                self.write(server, operation.files)
            else:
                await self._post(str(self.path(server, operation.socket)), operation)

    async def _post(self, socket: str, call: HttpCall) -> None:
        body = call.body.encode()
        reader, writer = await asyncio.open_unix_connection(socket)
        writer.write(b"POST %s HTTP/1.1\r\nHost: lab\r\nContent-Length: %d\r\n\r\n" % (call.path.encode(), len(body)))
        writer.write(body)
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200 "), answer

    def evidence(self) -> str:
        logs = []
        for name in self.processes:
            for file in (LOG, OUTPUT):
                path = self.path(name, file)
                if path.exists():
                    logs.append(f"--- {name} {file}\n" + "\n".join(path.read_text().splitlines()[-40:]))
        return "\n".join(logs)

    async def ready(self, name: str, seconds: float = 30) -> None:
        """Started, and every neighbour it probes has answered."""
        domains = {self.plan.server(other).spec.domain for other in self.plan.server(name).probes}

        def done():
            lines = self.lines(name, READY)
            return lines and lines[0].get("started") and domains <= {line.get("probed") for line in lines}

        await self.until(f"{name} ready", done, seconds)

    def feed(self, server: str, /, **wanted) -> list[dict]:
        """The stanzas in a server's feed with these fields."""
        stanzas = (line for line in self.lines(server, FEED) if "event" not in line)
        return [line for line in stanzas if all(line[key] == value for key, value in wanted.items())]


def runtime_facts(tree: Path, root: Path, modules: Path) -> RuntimeFacts:
    prefixes = tuple((name, str(tree)) for name in ("prosody@13.0", "ejabberd@24.12"))
    return RuntimeFacts(
        runtime="processes",
        network=f"{loopback()}.0.0/16",
        folders=f"{root}/{{server}}",
        prefixes=prefixes,
        modules=f"{modules}/{{software}}-{{version}}",
        libraries="x86_64-linux-gnu",
    )


@contextlib.asynccontextmanager
async def running(plan: Plan, root: Path, zones: Zones | None = None) -> AsyncIterator[Lab]:
    """The plan's servers, started but not waited for; other zones lead them elsewhere."""
    lab, loop = Lab(plan, root), asyncio.get_running_loop()
    authority = Authority.generate("lab")
    zones, transports = zones or Zones(plan), []
    try:
        for server in plan.servers:
            name = server.spec.name
            lab.path(name, "data").mkdir(parents=True, mode=0o700)
            authority.issue(server.certificate, lab.path(name))
            users = [f"user{i + 1}" for i in range(server.spec.users)]
            lab.write(name, server.files)
            lab.write(name, get_software(server.spec.software).initial_accounts(server.spec.domain, users, keys()))
            transport, _ = await loop.create_datagram_endpoint(
                lambda name=name: Answers(zones, name), local_addr=server.dns
            )
            transports.append(transport)
        for server in plan.servers:
            if server.command:
                lab.start(server.spec.name)
        yield lab
    finally:
        for process in lab.processes.values():
            process.send_signal(signal.SIGKILL)
            process.wait(30)
        for transport in transports:
            transport.close()
        await asyncio.sleep(0)  # the sockets are closed in the loop's next turn


class Client:
    """A device of slixmpp, nothing of the lab's own in it: connects straight to its server."""

    def __init__(self, lab: Lab, server: str, user: str = "user1", password: str = PASSWORD) -> None:
        from slixmpp import ClientXMPP

        planned = lab.plan.server(server)
        self.jid = f"{user}@{planned.spec.domain}"
        self.xmpp = ClientXMPP(f"{self.jid}/lab", password)
        self.xmpp.enable_direct_tls = False
        self.xmpp.ca_certs = str(lab.path(server, "certs", "authority.pem"))
        self.xmpp.register_plugin("xep_0030")
        self.xmpp.register_plugin("xep_0199")
        self.address = planned.address
        self.got: asyncio.Queue = asyncio.Queue()
        self.failed: asyncio.Future = asyncio.get_running_loop().create_future()
        self.online = asyncio.get_running_loop().create_future()
        self.xmpp.add_event_handler("session_start", self._started)
        self.xmpp.add_event_handler("failed_all_auth", lambda _: self.online.set_exception(PermissionError(self.jid)))
        for event in ("message", "message_error"):
            self.xmpp.add_event_handler(event, self.got.put_nowait)

    async def _started(self, _):
        self.xmpp.send_presence()
        self.online.set_result(None)

    async def __aenter__(self) -> Client:
        self.xmpp.connect(self.address, PORTS.client)
        await asyncio.wait_for(self.online, 30)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.xmpp.disconnect()

    def send(self, to: str, body: str = "hello", element: str = "") -> str:
        message = self.xmpp.make_message(to, body)
        if element:
            message.append(ElementTree.Element(element))
        message.send()
        return message["id"]

    async def receive(self, message: str, seconds: float = 10):
        """The message of that id, or the error that came for it."""
        while True:
            stanza = await asyncio.wait_for(self.got.get(), seconds)
            if stanza["id"] == message:
                return stanza
