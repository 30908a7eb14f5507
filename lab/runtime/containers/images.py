"""Getting the lab's images: each is built when its recipe has changed, by one process of this machine at a time.

The context of a build has the .deb files that the host's apt has fetched and verified, so that a build needs
no network; the engine's own cache keeps that layer when only a module of ours has changed.
"""

from __future__ import annotations

import asyncio
import io
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import MissingError
from lab.runtime.build_cache import Store
from lab.runtime.containers.base_image import ensure_base
from lab.runtime.containers.engine import OURS, OURS_VALUE, DockerEngine
from lab.runtime.containers.image_specs import Recipe, cache
from lab.runtime.debian.apt import download
from lab.runtime.debian.sources import machine_sources, sources_for
from lab.runtime.protocol import Progress

if TYPE_CHECKING:
    from docker import DockerClient

_EVIDENCE = 12  # last lines quoted of a build that failed


def present(client: DockerClient) -> set[str]:
    """Tags of the images of ours that the engine has."""
    images = client.api.images(filters={"label": f"{OURS}={OURS_VALUE}"})
    return {tag for image in images for tag in image.get("RepoTags") or ()}


async def missing(engine: DockerEngine, recipes: Sequence[Recipe]) -> list[Recipe]:
    """Those whose image the engine does not have."""
    there = await engine.call(present, engine.client)
    return [recipe for recipe in recipes if recipe.tag not in there]


async def build_images(engine: DockerEngine, recipes: Sequence[Recipe], progress: Progress) -> None:
    """Build these, side by side; call it while filling the `store`.

    Raises MissingError with the last lines of what failed.
    """
    async with asyncio.TaskGroup() as group:
        bases = {
            suite: group.create_task(ensure_base(engine, suite, progress))
            for suite in {recipe.suite for recipe in recipes}
        }
        for recipe in recipes:
            group.create_task(_make(engine, recipe, bases[recipe.suite], progress))


def store() -> Store:
    """Packages and libraries of images, as what is filled by one process at a time."""
    return Store(cache())


def context(recipe: Recipe, packages: list[Path]) -> bytes:
    """The build context as a tar archive, the same bytes for the same content: times and owners are left out."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(packages):
            _add(archive, f"packages/{path.name}", path.read_bytes())
        for name, content in recipe.files:
            _add(archive, name, content)
        if not any(name.startswith("modules/") for name, _ in recipe.files):
            folder = tarfile.TarInfo("modules")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
    return buffer.getvalue()


async def _make(engine: DockerEngine, recipe: Recipe, base: asyncio.Task[str], progress: Progress) -> None:
    packages = await _packages(recipe, progress)
    tag = await base
    progress(f"building the image {recipe.tag}")
    await engine.call(_build, engine.client, recipe, packages, tag)


async def _packages(recipe: Recipe, progress: Progress) -> list[Path]:
    """The .deb files of a recipe, from the cache or the archive; they are kept for when only a module changes."""
    folder = cache() / f"debs-{recipe.packages_digest}"
    if not folder.is_dir():
        progress(f"fetching the packages of {recipe.name} {recipe.version}")
        with tempfile.TemporaryDirectory(prefix=".debs-", dir=folder.parent) as name:
            sources = sources_for(recipe.suite, machine_sources(), recipe.archive or None)
            found = await download(sources, recipe.packages, Path(name), lambda text: None)
            found[0].parent.rename(folder)
    return sorted(folder.glob("*.deb"))


def _build(client: DockerClient, recipe: Recipe, packages: list[Path], base: str) -> None:
    from docker.errors import DockerException

    try:
        answers = client.api.build(
            fileobj=io.BytesIO(context(recipe, packages)),
            custom_context=True,
            tag=recipe.tag,
            buildargs={"BASE": base, **dict(recipe.arguments)},
            network_mode="none",
            labels={OURS: OURS_VALUE},
            rm=True,
            forcerm=True,
            decode=True,
        )
        _watch(recipe, answers)
    except DockerException as error:
        raise MissingError(f"the image {recipe.tag} cannot be built: {error}") from error


def _watch(recipe: Recipe, answers: Any) -> None:
    said: list[str] = []
    for answer in answers:
        said += str(answer.get("stream", "")).splitlines()
        if error := answer.get("error"):
            last = "\n".join(f"  | {line}" for line in said[-_EVIDENCE:] if line.strip())
            raise MissingError(f"the image {recipe.tag} cannot be built: {error}\n{last}")


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o644
    archive.addfile(info, io.BytesIO(content))
