"""Everything that must be on the machine before a lab starts: images, and the libraries of services and agents.

Both are fetched side by side; each is kept until its inputs change.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import MissingError, UserError
from lab.runtime.containers import engine as eng
from lab.runtime.containers.engine import Engine, lone_error
from lab.runtime.containers.images import building, ensure_images
from lab.runtime.containers.recipes import Recipe, python_recipe, server_recipe
from lab.runtime.containers.specs import Mount, Spec
from lab.runtime.containers.wheels import fetch_site, site_folder
from lab.runtime.protocol import Progress
from lab.runtime.state import make_home
from lab.topology.spec import Server

if TYPE_CHECKING:
    from docker import DockerClient

#: Software that runs somewhere else, or in the lab's services: no container of its own.
ELSEWHERE = frozenset({"external", "scripted"})
_COMPILE = ("python3", "-m", "compileall", "-q", "-j0", "--invalidation-mode", "unchecked-hash", "/opt/site")
_COMPILE_PATIENCE = 120  # seconds: 5 on two cores


def image_of(server: Server) -> str:
    """The tag of a server's image. Raises UserError if its description names none."""
    if server.custom is None:
        return server_recipe(server.software, server.version).tag
    if server.custom.image is None:
        raise UserError(
            f"server {server.name}: {server.custom.name} has no `image:`, which the runtime `containers` needs; "
            "add one, or use --runtime processes"
        )
    return server.custom.image


async def provide(engine: Engine, servers: Sequence[Server], progress: Progress) -> None:
    """Return once every image and library is there. Raises MissingError, UserError."""
    inside = [server for server in servers if server.software not in ELSEWHERE]
    recipes: dict[str, Recipe] = {python_recipe().tag: python_recipe()}
    for server in inside:
        if server.custom is None:
            recipe = server_recipe(server.software, server.version)
            recipes[recipe.tag] = recipe
    custom = {image_of(server) for server in inside if server.custom is not None}
    with lone_error():
        async with asyncio.TaskGroup() as group:
            images = group.create_task(ensure_images(engine, list(recipes.values()), progress))
            group.create_task(_provide_site(engine, images, progress))
            for image in custom:
                group.create_task(engine.call(_ensure_custom, engine.client, image, progress))


def site(machine: str) -> Path:
    """The folder of the libraries. Raises MissingError if it has not been provided."""
    folder = site_folder(machine)
    if not folder.is_dir():
        raise MissingError(f"{folder} is not there any more: run `xmpplab up` again")
    return folder


async def _provide_site(engine: Engine, images: asyncio.Task[None], progress: Progress) -> None:
    machine = await engine.machine()
    target = site_folder(machine)
    if target.is_dir():
        return
    make_home()
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fetched = await engine.call(fetch_site, machine, target, progress)
    try:
        await images
        await engine.call(_compile, engine.client, fetched)
        async with building():
            if not target.is_dir():  # somebody else may have been faster
                fetched.rename(target)
    finally:
        shutil.rmtree(fetched, ignore_errors=True)


def _compile(client: DockerClient, folder: Path) -> None:
    """Write the byte code beside the sources, with the Python that will read it."""
    spec = Spec(
        name="",
        image=python_recipe().tag,
        command=_COMPILE,
        labels={eng.OURS: eng.OURS_VALUE},
        user=eng.caller(),
        mounts=(Mount(folder, "/opt/site", writable=True),),
        environment=(("PYTHONDONTWRITEBYTECODE", ""),),
        keeps_log=True,
    )
    container = client.api.create_container(**spec.arguments(client.api, None))["Id"]
    try:
        client.api.start(container)
        code = client.api.wait(container, timeout=_COMPILE_PATIENCE)["StatusCode"]
        if code:
            said = client.api.logs(container, tail=5).decode(errors="replace")
            raise MissingError(f"the libraries of services and agents cannot be compiled (exit code {code}): {said}")
    finally:
        client.api.remove_container(container, force=True)


def _ensure_custom(client: DockerClient, image: str, progress: Progress) -> None:
    from docker.errors import DockerException, ImageNotFound

    try:
        client.images.get(image)
    except ImageNotFound:
        progress(f"pulling {image}")
        try:
            client.images.pull(image)
        except DockerException as error:
            raise MissingError(f"the image {image} is neither in the engine nor can it be pulled: {error}") from error
