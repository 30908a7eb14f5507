"""Everything that must be on the machine before a lab starts: images, and the libraries of services and agents.

Both are fetched in parallel; each is kept until its inputs change.
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
from lab.runtime.containers.container_specs import TO_FILE, ContainerSpec, Mount
from lab.runtime.containers.engine import DockerEngine, build_labels, first_error, get_caller_user
from lab.runtime.containers.image_specs import ImageSpec, find_python_image, find_server_image
from lab.runtime.containers.images import build_cache, build_images, find_missing
from lab.runtime.containers.python_libraries import fetch_site, find_site_folder
from lab.runtime.protocol import Progress
from lab.system.subprocesses import build_python_command
from lab.topology.spec import Server

if TYPE_CHECKING:
    from docker import DockerClient

_COMPILE = build_python_command(
    "compileall", "-q", "-j0", "--invalidation-mode", "unchecked-hash", "/opt/site", python="python3"
)
_COMPILE_LOG = "compile.log"
_COMPILE_PATIENCE = 120  # seconds: 5 on two cores


def find_image(server: Server) -> str:
    """The tag of a server's image. Raises UserError if its description names none."""
    if server.custom is None:
        return find_server_image(server.software, server.version).tag
    if server.custom.image is None:
        raise UserError(
            f"server {server.name}: {server.custom.name} has no `image:`, which the runtime `containers` needs; "
            "add one, or use --runtime processes"
        )
    return server.custom.image


async def provide(engine: DockerEngine, servers: Sequence[Server], progress: Progress) -> None:
    """Return once every image and library is there. Raises MissingError, UserError."""
    inside = [server for server in servers if server.manifest.started_by is StartedBy.LAB]
    specs: dict[str, ImageSpec] = {find_python_image().tag: find_python_image()}
    for server in inside:
        if server.custom is None:
            spec = find_server_image(server.software, server.version)
            specs[spec.tag] = spec
    custom = {find_image(server) for server in inside if server.custom is not None}
    with first_error():
        await _provide_own(engine, list(specs.values()), progress)
        for image in sorted(custom):
            await engine.call(_ensure_custom, engine.client, image, progress)


async def _provide_own(engine: DockerEngine, specs: list[ImageSpec], progress: Progress) -> None:
    """Images of ours, and the libraries."""
    target = find_site_folder(await engine.machine())
    if target.is_dir() and not await find_missing(engine, specs):
        return
    async with build_cache().locked(progress):  # another process may have finished meanwhile: ask again what is missing
        wanted = await find_missing(engine, specs)
        async with asyncio.TaskGroup() as group:
            images = group.create_task(build_images(engine, wanted, progress))
            if not target.is_dir():
                group.create_task(_provide_site(engine, target, images, progress))


def find_site(machine: str) -> Path:
    """The folder of the libraries. Raises MissingError if it has not been provided."""
    folder = find_site_folder(machine)
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
    """Write the byte code beside the sources, with the image's Python. The container is removed at its end."""
    spec = ContainerSpec(
        name="",
        image=find_python_image().tag,
        command=(*TO_FILE, f"/opt/site/{_COMPILE_LOG}", *_COMPILE),
        labels=build_labels(Layout(folder)),  # swept with the folder, if we are killed
        user=get_caller_user(),
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
