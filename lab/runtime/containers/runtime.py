"""The runtime `containers`: one container a server, one for the services, on an internal network of the lab's own.

Rules:
- the lab's network, once created, reserves its addresses;
- everything of a lab has its label, and a lab is ended by label: containers first, then the network;
- no server runs before the lab's DNS answers, or its first query would fail and the server would cache that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lab.declarations.manifest import StartedBy
from lab.errors import MissingError, UserError
from lab.plan.layout import Layout
from lab.plan.model import Plan, RuntimeFacts
from lab.runtime.admin import carry_out
from lab.runtime.containers import agents, exec_tty, inspection, preparation, removal, startup, subnets
from lab.runtime.containers.engine import (
    HOW_TO,
    DockerEngine,
    build_labels,
    build_name,
    get_server_user,
    read_version,
    shared_engine,
)
from lab.runtime.containers.reaper import Lease
from lab.runtime.containers.server_control import ContainerControl
from lab.runtime.protocol import (
    AGENT,
    AddressReservation,
    Pipes,
    Prerequisite,
    Progress,
    ServerState,
    Written,
    explain_taken_network,
)
from lab.servers.software import Operation
from lab.system.subprocesses import build_python_command
from lab.topology.spec import Server

if TYPE_CHECKING:
    from docker import DockerClient

_ROUTES = Path("/proc/net/route")
_leases: dict[Path, Lease] = {}  # of this process's owned labs, by folder: they outlive a Containers object


class Containers:
    """Carries out plans with a container engine. What each coroutine promises is in lab/runtime/protocol.py."""

    name = "containers"

    def __init__(self, engine: DockerEngine | None = None) -> None:
        self._engine = engine or shared_engine()

    def check_prerequisites(self) -> list[Prerequisite]:
        """Whether an engine answers."""
        try:
            version = read_version()
        except MissingError as error:
            return [Prerequisite("container engine", False, str(error).partition(": start one")[0], HOW_TO)]
        return [Prerequisite("container engine", True, f"version {version}")]

    async def prepare(self, servers: Sequence[Server], progress: Progress) -> None:
        """Images are built, libraries fetched. Raises MissingError, UserError for what cannot be in a container."""
        if outside := [server.name for server in servers if server.manifest.started_by is StartedBy.PERSON]:
            raise UserError(
                f"{', '.join(outside)}: a server that you run yourself cannot be reached from a lab of containers, "
                "whose network is closed: use --runtime processes"
            )
        await preparation.provide(self._engine, servers, progress)

    async def reserve(
        self, layout: Layout, servers: Sequence[Server], *, owned: bool = False, network: str | None = None
    ) -> AddressReservation:
        """The lab's network has been created. Raises MissingError if every subnet is taken."""
        if owned:  # before the engine has anything that could be left over
            _leases[layout.root] = Lease(layout)
        reserved = await self._engine.call(reserve_network, self._engine.client, layout, network)
        return AddressReservation(reserved)

    async def get_facts(
        self, layout: Layout, servers: Sequence[Server], reservation: AddressReservation
    ) -> RuntimeFacts:
        """The same in each container, whatever the host has."""
        return RuntimeFacts(runtime=self.name, network=reservation.network, folders="/lab")

    async def start(
        self,
        layout: Layout,
        plan: Plan,
        reservation: AddressReservation,
        *,
        written: Written,
        owned: bool,
        progress: Progress,
    ) -> None:
        """Services answer, every server has been started. Raises NotReady."""
        await startup.start(self._engine, layout, plan, written, progress)

    async def read_states(self, layout: Layout, plan: Plan, *, pids: bool = False) -> dict[str, ServerState]:
        """Each server's container; one that was removed does not run."""
        found = await self._engine.call(inspection.read_server_states, self._engine.client, layout, pids=pids)
        gone = ServerState(running=False, detail="its container does not exist")
        inside = [one.spec.name for one in plan.servers if one.spec.manifest.started_by is StartedBy.LAB]
        return {name: found.get(name, gone) for name in inside}

    def build_server_control(self, layout: Layout, plan: Plan) -> ContainerControl:
        """By way of the engine."""
        return ContainerControl(self._engine, layout, plan)

    def share_certificates(self, layout: Layout, plan: Plan, servers: Sequence[str]) -> None:
        """Copied to the folder that the services' container sees."""
        startup.share_certificates(layout, plan, servers)

    def renew_shared_certificates(self, layout: Layout, plan: Plan, server: str) -> None:
        """Copied again, if it was copied before."""
        if startup.shares_certificates(layout, plan, server):
            startup.share_certificates(layout, plan, [server])

    async def find_service_pid(self, layout: Layout) -> int | None:
        """The main process of the services' container."""
        return await self._engine.call(inspection.find_services_pid, self._engine.client, layout)

    def is_running(self, layout: Layout) -> bool:
        """Whether the lab's services run."""
        return inspection.are_services_running(self._engine.client, layout)

    async def operate(
        self, layout: Layout, plan: Plan, server: str, operations: Sequence[Operation]
    ) -> tuple[str, ...]:
        """Carried out through the server's folder, which the host has too. Raises PeerError."""
        return await carry_out(layout.server(server), operations)

    async def start_agent(
        self,
        layout: Layout,
        plan: Plan,
        argv: Sequence[str] | None = None,
        *,
        server: str | None = None,
        module: str = AGENT,
        own_address: bool = False,
        folder: Path | None = None,
    ) -> Pipes:
        """Ours runs in a container, each of which has an address of its own; a user's own command on the host."""
        if argv is None:
            place = None if server is None else plan.server(server)
            shared = folder if own_address or place else layout.root / "people"
            return await agents.start_in_container(
                self._engine, layout, build_python_command(module, python="python3"), place=place, folder=shared
            )
        return await agents.start_on_host(layout, argv)

    async def find_libraries(self, library: str, package: str) -> str | None:
        """They are in the agents' image."""
        return None

    async def execute(self, layout: Layout, plan: Plan, server: str, argv: Sequence[str]) -> int:
        """Runs in the server's container, as the server's user. Raises PeerError if that does not run."""
        there = plan.server(server)
        folder = there.folder if there.spec.manifest.started_by is StartedBy.LAB else "/"
        return exec_tty.run(self._engine.client, build_name(layout, server), argv, get_server_user(), folder)

    async def stop(self, layout: Layout) -> None:
        """Nothing with the lab's label is left in the engine. Raises TimedOut."""
        if lease := _leases.pop(layout.root, None):
            lease.release()
        await removal.end(self._engine, layout)

    async def find_leftovers(self) -> dict[str, list[str]]:
        """What the engine has of any lab, by the lab's folder; running labs are among them."""
        return await self._engine.call(removal.find_leftovers, self._engine.client)

    def close(self) -> None:
        """Close connections and threads, but for the shared ones of this process: they are closed when it ends."""
        if self._engine is not shared_engine():
            self._engine.close()


def reserve_network(client: DockerClient, layout: Layout, wanted: str | None = None) -> str:
    """Create the lab's network on a subnet that is not in use, or this very one; the subnet. Raises MissingError."""
    from docker.errors import APIError
    from docker.types import IPAMConfig, IPAMPool

    taken = subnets.parse_routes(_ROUTES.read_text()) if _ROUTES.exists() else []
    taken += [pool.get("Subnet", "") for one in client.api.networks() for pool in one["IPAM"].get("Config") or ()]
    refused = ""
    for subnet in subnets.find_free(taken):
        if wanted not in (None, str(subnet.network)):
            continue
        pool = IPAMPool(subnet=str(subnet.network), iprange=subnet.agents, gateway=subnet.gateway)
        try:
            client.api.create_network(
                build_name(layout),
                driver="bridge",
                internal=True,
                check_duplicate=True,
                ipam=IPAMConfig(pool_configs=[pool]),
                labels=build_labels(layout),
            )
        except APIError as error:
            if "overlap" not in str(error.explanation).lower():  # else another lab took it meanwhile
                raise MissingError(f"the engine makes no network for the lab: {error.explanation}") from error
            refused = str(error.explanation)
        else:
            return str(subnet.network)
    if wanted is not None:
        raise explain_taken_network(wanted)
    raise MissingError(
        f"all addresses for labs are in use in {subnets.RANGE} {refused}: end labs that are not needed "
        "(xmpplab status, xmpplab down)"
    )
