"""The state of a lab's containers, from the engine."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lab.plan.layout import Layout
from lab.runtime.containers.engine import ROLE, SERVER, build_filters
from lab.runtime.protocol import ServerState

if TYPE_CHECKING:
    from docker import DockerClient

_LOG_LINES = 5  # of a container whose output the engine keeps
_EXITED = re.compile(r"Exited \((\d+)\)")


def list_containers(client: DockerClient, layout: Layout) -> list[dict[str, Any]]:
    """Everything of a lab, running or not, as the engine lists it."""
    found: list[dict[str, Any]] = client.api.containers(all=True, filters=build_filters(layout))
    return found


def read_server_states(client: DockerClient, layout: Layout, *, pids: bool = False) -> dict[str, ServerState]:
    """Each server's container by the server's name. One request to the engine; with `pids` one more for each."""
    states = {}
    for container in list_containers(client, layout):
        if server := container["Labels"].get(SERVER):
            states[server] = _state(client, container, pids)
    return states


def _state(client: DockerClient, container: dict[str, Any], pids: bool) -> ServerState:
    status = str(container["Status"])
    if container["State"] in ("running", "paused", "restarting"):
        if not pids:
            return ServerState(running=True, detail=status)
        state = client.api.inspect_container(container["Id"])["State"]
        return ServerState(running=True, pid=state["Pid"] or None, detail=status, changes=read_changes(state))
    exited = _EXITED.match(status)
    code = int(exited[1]) if exited else None
    inspected = client.api.inspect_container(container["Id"])
    detail = _exit_detail(client, container, inspected)
    return ServerState(running=False, exit_code=code, detail=detail, changes=read_changes(inspected["State"]))


def read_changes(state: dict[str, Any]) -> list[tuple[float, bool]]:
    """When a container was last started and when it last ended, in seconds since the epoch, in order."""
    found = [(_seconds(state.get("StartedAt")), True), (_seconds(state.get("FinishedAt")), False)]
    return sorted((at, runs) for at, runs in found if at > 0)


def _seconds(stamp: str | None) -> float:
    """A time as the engine writes it, with nanoseconds; 0 and less for "never"."""
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?", stamp or "")
    if match is None:
        return 0.0
    return datetime.fromisoformat(match[1]).replace(tzinfo=UTC).timestamp() + float(match[2] or 0)


def _exit_detail(client: DockerClient, container: dict[str, Any], inspected: dict[str, Any]) -> str:
    """The engine's status, and what it kept of the output: a server of the lab's own has it in its folder."""
    parts = [str(container["Status"]), str(inspected["State"].get("Error") or "")]
    if inspected["HostConfig"]["LogConfig"]["Type"] != "none":
        parts.append(client.api.logs(container["Id"], tail=_LOG_LINES).decode(errors="replace").strip())
    return "; ".join(part for part in parts if part)


def find_services_pid(client: DockerClient, layout: Layout) -> int | None:
    """The main process of the container with the lab's DNS and relays, as the host sees it; None if it does not run."""
    for one in list_containers(client, layout):
        if one["Labels"].get(ROLE) == "services" and one["State"] == "running":
            return client.api.inspect_container(one["Id"])["State"]["Pid"] or None
    return None


def are_services_running(client: DockerClient, layout: Layout) -> bool:
    """Whether the container with the lab's DNS and relays runs."""
    return any(
        one["Labels"].get(ROLE) == "services" and one["State"] == "running" for one in list_containers(client, layout)
    )
