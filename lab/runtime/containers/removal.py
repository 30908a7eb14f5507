"""Removes the containers and networks of a lab by their label, and lists what the engine has of any lab."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from lab.errors import TimedOut, UserError
from lab.plan.layout import Layout
from lab.runtime.containers.engine import FILE_VIEW, LAB, DockerEngine, build_filters
from lab.runtime.containers.inspection import list_containers
from lab.system.processes import identify_file_view

if TYPE_CHECKING:
    from docker import DockerClient

_PATIENCE = 120.0  # seconds: 50 containers end in 6
_SETTLE = 0.2  # seconds between two lists: the engine may still be creating something


async def end(engine: DockerEngine, layout: Layout) -> None:
    """Remove containers, then networks of a lab, until there are none. Raises TimedOut with what is left.

    Raises UserError at once if a container that is not the lab's is on its network: the engine does not remove it then.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        found = await engine.call(list_containers, engine.client, layout)
        await engine.each(lambda one: _remove_container(engine.client, one["Id"]), found)
        networks = await engine.call(_networks, engine.client, build_filters(layout))
        await engine.each(lambda one: _remove_network(engine.client, one["Id"]), networks)
        if not found and not networks:
            return
        if not found and (foreign := await engine.call(_foreign_containers, engine.client, layout, networks)):
            network, container = foreign
            raise UserError(
                f"container {container} is on the network of {layout.name} and not the lab's: disconnect it with "
                f"`docker network disconnect {network} {container}`, then end the lab again"
            )
        if time.monotonic() > deadline:
            names = [name for one in found for name in one["Names"]] + [one["Name"] for one in networks]
            raise TimedOut(f"the engine does not remove everything of the lab {layout.name}", tuple(names))
        if found:  # list again at once: usually that was all
            continue
        await asyncio.sleep(_SETTLE)


def find_leftovers(client: DockerClient) -> dict[str, list[str]]:
    """Names of containers and networks with a lab's label, by the lab's folder; running labs are among them.

    Labs that were made by processes with another view of folders are left out: their state cannot be seen from here.
    """
    found: dict[str, list[str]] = {}
    filters = {"label": [LAB, f"{FILE_VIEW}={identify_file_view()}"]}
    for one in client.api.containers(all=True, filters=filters):
        found.setdefault(one["Labels"][LAB], []).append(f"container {one['Names'][0].lstrip('/')}")
    for one in _networks(client, filters):
        found.setdefault(one["Labels"][LAB], []).append(f"network {one['Name']}")
    return found


def _networks(client: DockerClient, filters: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.api.networks(filters=filters)
    return found


def _foreign_containers(client: DockerClient, layout: Layout, networks: list[dict[str, Any]]) -> tuple[str, str] | None:
    """A network of the lab and a container on it that is not the lab's, by name; None if there is none."""
    from docker.errors import NotFound

    for network in networks:
        try:
            there = client.api.inspect_network(network["Id"])["Containers"] or {}
            for identifier, one in there.items():
                labels = client.api.inspect_container(identifier)["Config"]["Labels"] or {}
                if labels.get(LAB) != str(layout.root):
                    return network["Name"], one["Name"]
        except NotFound:  # removed meanwhile
            continue
    return None


def _remove_container(client: DockerClient, container: str) -> None:
    from docker.errors import APIError, NotFound

    try:
        client.api.remove_container(container, force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        if error.status_code != 409:  # it is being removed already
            raise


def _remove_network(client: DockerClient, network: str) -> None:
    from docker.errors import APIError, NotFound

    try:
        client.api.remove_network(network)
    except NotFound:
        return
    except APIError as error:
        if error.status_code not in (403, 409):  # a container that is being removed still has an address there
            raise
