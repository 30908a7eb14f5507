"""Everything that must be on the machine before a lab starts: images, and the libraries of services and agents.

Both are fetched side by side; each is kept until its inputs change.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lab.declarations.manifest import StartedBy
from lab.errors import MissingError, UserError
from lab.plan.layout import Layout
from lab.runtime.containers import engine as eng
from lab.runtime.containers.container_specs import TO_FILE, Mount, Spec
from lab.runtime.containers.engine import DockerEngine, lone_error
from lab.runtime.containers.image_specs import Recipe, python_recipe, server_recipe
from lab.runtime.containers.images import build_images, missing, store
from lab.runtime.containers.python_libraries import fetch_site, site_folder
from lab.runtime.protocol import Progress
from lab.topology.spec import Server

if TYPE_CHECKING:
    from docker import DockerClient

_COMPILE = ("python3", "-m", "compileall", "-q", "-j0", "--invalidation-mode", "unchecked-hash", "/opt/site")
_COMPILE_LOG = "compile.log"
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


async def provide(engine: DockerEngine, servers: Sequence[Server], progress: Progress) -> None:
    """Return once every image and library is there. Raises MissingError, UserError."""
    inside = [server for server in servers if server.manifest.started_by is StartedBy.LAB]
    recipes: dict[str, Recipe] = {python_recipe().tag: python_recipe()}
    for server in inside:
        if server.custom is None:
            recipe = server_recipe(server.software, server.version)
            recipes[recipe.tag] = recipe
    custom = {image_of(server) for server in inside if server.custom is not None}
    with lone_error():
        await _provide_own(engine, list(recipes.values()), progress)
        for image in sorted(custom):
            await engine.call(_ensure_custom, engine.client, image, progress)


async def _provide_own(engine: DockerEngine, recipes: list[Recipe], progress: Progress) -> None:
    """Images of ours, and the libraries."""
    target = site_folder(await engine.machine())
    if target.is_dir() and not await missing(engine, recipes):
        return
    async with store().filling(
        progress
    ):  # somebody else may have made it all meanwhile: what is missing is asked again
        wanted = await missing(engine, recipes)
        async with asyncio.TaskGroup() as group:
            images = group.create_task(build_images(engine, wanted, progress))
            if not target.is_dir():
                group.create_task(_provide_site(engine, target, images, progress))


def site(machine: str) -> Path:
    """The folder of the libraries. Raises MissingError if it has not been provided."""
    folder = site_folder(machine)
    if not folder.is_dir():
        raise MissingError(f"{folder} is not there any more: run `xmpplab up` again")
    return folder


async def _provide_site(engine: DockerEngine, target: Path, images: asyncio.Task[None], progress: Progress) -> None:
    fetched = await fetch_site(await engine.machine(), target, progress)
    try:
        await images
        await engine.call(_compile, engine.client, fetched)
        fetched.rename(target)
    finally:
        shutil.rmtree(fetched, ignore_errors=True)


def _compile(client: DockerClient, folder: Path) -> None:
    """Write the byte code beside the sources, with the Python that will read it. The container goes by itself."""
    spec = Spec(
        name="",
        image=python_recipe().tag,
        command=(*TO_FILE, f"/opt/site/{_COMPILE_LOG}", *_COMPILE),
        labels=eng.labels(Layout(folder)),  # gone with the folder, if we are killed
        user=eng.caller(),
        mounts=(Mount(folder, "/opt/site", writable=True),),
        environment=(("PYTHONDONTWRITEBYTECODE", ""),),
        transient=True,
    )
    container = client.api.create_container(**spec.arguments(client.api, None))["Id"]
    client.api.start(container)
    code = client.api.wait(container, timeout=_COMPILE_PATIENCE, condition="removed")["StatusCode"]
    log = folder / _COMPILE_LOG
    if code:
        raise MissingError(f"the libraries of services and agents cannot be compiled: {log.read_text()[-500:]}")
    for path in (log, *folder.rglob("__pycache__"), *folder.rglob("*.pyc")):  # its umask was a private one
        path.chmod(0o755 if path.is_dir() else 0o644)


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
