"""One server in a test: testcontainers classes over the lab's own images.

    from lab.testing.containers import ProsodyContainer

    with ProsodyContainer(domain="a.test", users=["alice"]) as server:
        connect("alice@a.test", server.password, server.host, server.port, ca=server.authority)

For federation, with names, links and more than one server, there is the `federation` fixture (docs/pytest.md). The
server here is alone: on the engine's own network, its ports on loopback, and with nobody to ask for names.

Rules: the image is built where it is missing; every container has drawn secrets, TLS required, no capability and no
root; its folder on the host goes with it, so test and engine must be on one machine. testcontainers' own reaper is left
out, since its image comes from a registry only: a test that is killed leaves its container, with the label `xmpplab=1`.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from lab.declarations.servers import get_manifest
from lab.errors import NotReady
from lab.network.authority import CERTIFICATE, Authority
from lab.plan.model import CertificateRequest
from lab.runtime import server_files as folders
from lab.runtime.containers import engine
from lab.runtime.containers.container_specs import TO_FILE
from lab.runtime.containers.preparation import find_image
from lab.runtime.containers.runtime import Containers
from lab.servers import get_software
from lab.servers.conventions import OUTPUT, READY
from lab.servers.software import Blueprint
from lab.topology.spec import Server

READY_TIMEOUT = 60.0  # seconds until it accepts streams: Prosody takes 1, ejabberd 4
_POLL_INTERVAL = 0.05  # seconds
_EVIDENCE = 12  # last lines quoted of a server that does not start
_NO_DNS = ("127.0.0.1", 53)  # nothing answers at this address: a single server needs no DNS


class ServerContainer(DockerContainer):
    """A server of one software, alone in a container (RFC 6120). Use it in a `with` block, or call `start` and `stop`.

    `software` is any that the lab installs, in its default version; the classes below have one each. `domain` is the
    domain it serves (RFC 6120 section 4.7.2), `users` are the local parts of its accounts, all with the
    password `password`; `options` go to testcontainers' DockerContainer. The image is built if it is missing, which
    takes about 20 seconds.
    """

    software: str = ""

    def __init__(
        self,
        domain: str = "server.test",
        users: Sequence[str] = ("alice", "bob"),
        *,
        software: str = "",
        **options: Any,
    ) -> None:
        testcontainers_config.ryuk_disabled = True
        self.software = software or self.software
        spec = Server("server", domain, self.software, get_manifest(self.software).default_version)
        _build_image(spec)
        super().__init__(find_image(spec), **options)
        self.domain = domain
        self.users = tuple(users)
        self.password = secrets.token_urlsafe(18)
        self._spec = spec
        self._root: Path | None = None

    @property
    def host(self) -> str:
        """The IP address on which the ports are published: 127.0.0.1."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """The published TCP port for clients (STARTTLS, RFC 6120 section 5). Known once the server has started."""
        return int(self.get_docker_client().port(self.get_container_id(), self._spec.manifest.ports.client))

    @property
    def authority(self) -> Path:
        """The file with the certificate (PEM) of the authority that signed the server's; there while the server runs.

        Raises NotReady if the server has not been started.
        """
        if self._root is None:
            raise NotReady("the server has not been started: use it in a `with` block")
        return self._root / "authority" / CERTIFICATE

    def start(self) -> Self:
        """Start the server and return the object itself once it accepts streams (RFC 6120 section 4.2).

        Raises NotReady with the last lines of its output if it ends, or does not accept streams within 60 seconds.
        """
        self._root = Path(tempfile.mkdtemp(prefix="xmpplab-server-"))
        try:
            self._prepare(self._root)
            super().start()
            self._await_ready(self._root / "server")
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self, force: bool = True, delete_volume: bool = True) -> None:
        """End the server and delete its folder. The arguments are those of DockerContainer."""
        super().stop(force, delete_volume)
        self._container = None  # `stop` may be called twice: when the start fails, and at the end of a `with` block
        root, self._root = self._root, None
        if root is not None:
            shutil.rmtree(root)

    def _prepare(self, root: Path) -> None:
        """Write the server's folder, and say how its container is to be made."""
        folder, kind = root / "server", get_software(self.software)
        folder.mkdir(mode=0o700)
        blueprint = Blueprint(
            spec=self._spec,
            address="0.0.0.0",  # noqa: S104 - inside the container; published on loopback only
            folder="/lab",
            prefix="",
            modules=f"/lab-modules/{self.software}",
            dns=_NO_DNS,
            allow=None,
            probes=(),
            runtime="containers",
        )
        rendered = kind.render(blueprint)
        keys = folders.compute_scram_keys(self.password, secrets.token_bytes(16))
        folders.write_files(folder, rendered.files)
        folders.write_files(folder, kind.initial_accounts(self.domain, self.users, keys))
        names = self._spec.hosts
        Authority.create(root / "authority").issue(
            CertificateRequest(self.domain, names, self._spec.certificate), folder
        )
        if (owner := folders.find_server_owner()) is not None:
            folders.change_owner(folder, owner)
        self._describe(folder, rendered.command, dict(rendered.environment))

    def _describe(self, folder: Path, command: tuple[str, ...], environment: dict[str, str]) -> None:
        self.with_command([*TO_FILE, f"/lab/{OUTPUT}", *command])
        self.with_envs(**{"HOME": "/lab", **environment})
        self.with_volume_mapping(folder, "/lab", "rw")
        self.with_tmpfs_mount("/tmp", "size=64m")  # noqa: S108 - inside the container
        published: dict[str, Any] = self.ports  # testcontainers knows no address, the SDK below it does
        own = self._spec.manifest.ports
        for port in (own.client, own.server, own.https):
            published[f"{port}/tcp"] = ("127.0.0.1",)
        self.with_kwargs(
            user=engine.get_server_user(),
            working_dir="/lab",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            read_only=True,
            labels={engine.OURS: engine.OURS_VALUE},
            **self._kwargs,
        )

    def _await_ready(self, folder: Path) -> None:
        deadline = time.monotonic() + READY_TIMEOUT
        while not (folder / READY).exists() or not (folder / READY).stat().st_size:
            container = self.get_wrapped_container()
            container.reload()
            if container.status not in ("created", "running"):
                raise NotReady(f"{self.software} has ended before it was ready", _last_output(folder))
            if time.monotonic() > deadline:
                raise NotReady(
                    f"{self.software} does not accept streams after {READY_TIMEOUT:.0f} s", _last_output(folder)
                )
            time.sleep(_POLL_INTERVAL)


class ProsodyContainer(ServerContainer):
    """A Prosody server."""

    software = "prosody"


class EjabberdContainer(ServerContainer):
    """An ejabberd server. Its accounts are made through its own interface, once it accepts streams."""

    software = "ejabberd"


def _last_output(folder: Path) -> tuple[str, ...]:
    path = folder / OUTPUT
    return tuple(path.read_text(errors="replace").splitlines()[-_EVIDENCE:]) if path.exists() else ("nothing",)


def _build_image(spec: Server) -> None:
    """Build the image if it is not there; in a thread of its own, since the caller may be in an event loop."""

    def work() -> None:
        runtime = Containers(engine.DockerEngine())
        try:
            asyncio.run(runtime.prepare([spec], lambda text: None))
        finally:
            runtime.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(work).result()
