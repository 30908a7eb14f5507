"""The containers of a lab as data: one `ContainerSpec` each. Pure.

Rules, for every container: no capability at all, no new privileges, a read-only root, a tmpfs for /tmp, a bounded
number of processes, an unprivileged user, nothing published. A server sees its own folder and nothing else of the lab.
What it writes to standard output and error goes to its OUTPUT file, as with processes, so the engine keeps no log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import packaged
from lab.plan.layout import Layout
from lab.plan.model import Plan, ServerPlan
from lab.runtime.containers.engine import build_labels, build_name, get_server_user
from lab.servers.conventions import OUTPUT
from lab.system.subprocesses import build_python_command

RESOLV = "resolv.conf"  # in the lab's folder, mounted into every server
SERVICES = "services"  # in the lab's folder: all that the services see of it
_SERVICES_INSIDE = "/lab"
_PROCESSES = 512  # an ejabberd has about 40 threads
_TMP = {"/tmp": "rw,nosuid,nodev,size=64m,mode=1777"}  # noqa: S108 - inside the container
_LOG_BYTES = "1m"  # of an image of the user's own, that is started by its own command

#: Runs a command with its output appended to the file named first. Open files are bounded here, and only downwards, as
#: a container without capabilities may: an Erlang machine makes a table with an entry for each file it may open, and
#: many engines allow a thousand million.
_LIMITS = 'umask 077; [ "$(ulimit -n)" -le 65536 ] || ulimit -n 65536; '
_RUN = 'exec "$@" >>"$0" 2>&1'
TO_FILE = ("/bin/sh", "-c", _LIMITS + _RUN)

#: The same in the folder named first, once it can be entered and has this file: then all files are written and the
#: lab's DNS answers. So the container can be started before both, and no query of a server fails: it would cache that.
GATE = "names-answer"
_OPEN = f'until cd "$0" 2>/dev/null && [ -e {GATE} ]; do sleep 0.1; done; '
_GATED = ("/bin/sh", "-c", f'{_LIMITS}{_OPEN}exec "$@" >>{OUTPUT} 2>&1')


@dataclass(frozen=True)
class Mount:
    """A folder or file of the host in a container."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True)
class ContainerSpec:
    """A container to be created."""

    name: str
    image: str
    command: tuple[str, ...]  # () for the image's own
    labels: dict[str, str]
    user: str
    address: str | None = None  # None: the engine chooses among those for agents
    mounts: tuple[Mount, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    folder: str = "/"
    dns: str | None = None
    sysctls: dict[str, str] = field(default_factory=dict)
    attached: bool = False  # standard input and output are ours; it is removed when it ends
    transient: bool = False  # it is removed when it ends
    keeps_log: bool = False

    def arguments(self, api: Any, network: str | None) -> dict[str, Any]:
        """Keyword arguments of the SDK's `create_container`; without a network it has none at all."""
        from docker.types import LogConfig, Ulimit

        log = LogConfig(type="json-file", config={"max-size": _LOG_BYTES, "max-file": "1"})
        host = api.create_host_config(
            binds=[f"{m.source}:{m.target}:{'rw' if m.writable else 'ro'}" for m in self.mounts],
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            read_only=True,
            tmpfs=_TMP,
            pids_limit=_PROCESSES,
            ulimits=[Ulimit(name="core", soft=0, hard=0)],
            log_config=log if self.keeps_log else LogConfig(type="none"),
            auto_remove=self.attached or self.transient,
            dns=[self.dns] if self.dns else None,
            sysctls=self.sysctls or None,
            network_mode=network or "none",
        )
        endpoint = api.create_endpoint_config(ipv4_address=self.address)
        return {
            "image": self.image,
            "command": list(self.command) or None,
            "name": self.name or None,
            "labels": self.labels,
            "user": self.user,
            "working_dir": self.folder,
            "environment": dict(self.environment),
            "stdin_open": self.attached,
            "host_config": host,
            "networking_config": api.create_networking_config({network: endpoint}) if network else None,
        }


def build_server_spec(layout: Layout, plan: Plan, server: ServerPlan, image: str) -> ContainerSpec:
    """A server: its own folder at /lab, the lab's DNS, its own address."""
    name = server.spec.name
    gated = (*_GATED, server.folder, *server.command) if server.command else ()
    return ContainerSpec(
        name=build_name(layout, name),
        image=image,
        command=gated,
        labels=build_labels(layout, role="server", server=name),
        user=get_server_user(),
        address=server.address,
        mounts=(
            Mount(layout.server(name), server.folder, writable=True),
            Mount(layout.root / RESOLV, "/etc/resolv.conf"),
        ),
        environment=(("HOME", server.folder), *server.environment),
        folder="/" if gated else server.folder,
        dns=plan.services,
        keeps_log=not gated,
    )


def build_services_spec(layout: Layout, plan: Plan, image: str, site: Path) -> ContainerSpec:
    """The lab's DNS and relays. Of the lab they see a folder of their own with the plan: no key, secret or store."""
    log = f"{_SERVICES_INSIDE}/{layout.service_log.name}"
    return ContainerSpec(
        name=build_name(layout, "_services"),
        image=image,
        command=(*TO_FILE, log, *build_python_command("lab.network.service", _SERVICES_INSIDE, python="python3")),
        labels=build_labels(layout, role="services"),
        user=get_server_user(),
        address=plan.services,
        mounts=(Mount(layout.root / SERVICES, _SERVICES_INSIDE, writable=True), *_code(site)),
        environment=(("HOME", "/tmp"),),  # noqa: S108 - inside the container
        sysctls={"net.ipv4.ip_unprivileged_port_start": "0"},  # DNS is port 53
    )


def build_agent_spec(
    layout: Layout,
    command: Sequence[str],
    image: str,
    site: Path,
    place: ServerPlan | None = None,
    *,
    folder: Path | None = None,
) -> ContainerSpec:
    """An agent. Its input and output are its caller's; `folder`, for keys and trust, has the same path as on the host.

    With `place` it is that scripted server: it has the server's name, its address, and reads its certificates.
    """
    certs = layout.server(place.spec.name) / "certs" if place else None
    return ContainerSpec(
        name=build_name(layout, place.spec.name) if place else "",
        image=image,
        command=tuple(command),
        labels=build_labels(layout, role="agent"),
        user=get_server_user(),
        address=place.address if place else None,
        mounts=(
            *([Mount(folder, str(folder), writable=True)] if folder else []),
            *([Mount(certs, str(certs))] if certs else []),
            *_code(site),
        ),
        environment=(("HOME", "/tmp"),),  # noqa: S108 - inside the container
        attached=True,
    )


def _code(site: Path) -> tuple[Mount, ...]:
    """The lab's own code, as it is on the host, and its libraries; the image's PYTHONPATH names both."""
    return (Mount(packaged.PACKAGE, "/opt/lab/lab"), Mount(site, "/opt/site"))
