"""Builds the lab's images: each is built when its spec has changed, by one process of this machine at a time.

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
from lab.runtime.build_cache import BuildCache
from lab.runtime.containers.base_image import ensure_base
from lab.runtime.containers.engine import OURS, OURS_VALUE, DockerEngine
from lab.runtime.containers.image_specs import ImageSpec, find_cache
from lab.runtime.debian import downloads
from lab.runtime.protocol import Progress

if TYPE_CHECKING:
    from docker import DockerClient

_EVIDENCE = 12  # last lines quoted of a build that failed


def find_tags(client: DockerClient) -> set[str]:
    """Tags of the images of ours that the engine has."""
    images = client.api.images(filters={"label": f"{OURS}={OURS_VALUE}"})
    return {tag for image in images for tag in image.get("RepoTags") or ()}


async def find_missing(engine: DockerEngine, specs: Sequence[ImageSpec]) -> list[ImageSpec]:
    """Those whose image the engine does not have."""
    there = await engine.call(find_tags, engine.client)
    return [spec for spec in specs if spec.tag not in there]


async def build_images(engine: DockerEngine, specs: Sequence[ImageSpec], progress: Progress) -> None:
    """Build these in parallel; the caller holds the lock of the `build_cache`.

    Raises MissingError with the last lines of what failed.
    """
    async with asyncio.TaskGroup() as group:
        bases = {
            suite: group.create_task(ensure_base(engine, suite, progress)) for suite in {spec.suite for spec in specs}
        }
        for spec in specs:
            group.create_task(_make(engine, spec, bases[spec.suite], progress))


def build_cache() -> BuildCache:
    """The cache of packages and libraries of images."""
    return BuildCache(find_cache())


def make_context(spec: ImageSpec, packages: list[Path]) -> bytes:
    """The build context as a tar archive, the same bytes for the same content: times and owners are left out."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(packages):
            _add(archive, f"packages/{path.name}", path.read_bytes())
        for name, content in spec.files:
            _add(archive, name, content)
        if not any(name.startswith("modules/") for name, _ in spec.files):
            folder = tarfile.TarInfo("modules")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
    return buffer.getvalue()


async def _make(engine: DockerEngine, spec: ImageSpec, base: asyncio.Task[str], progress: Progress) -> None:
    packages = await _packages(spec, progress)
    tag = await base
    progress(f"building the image {spec.tag}")
    await engine.call(_build, engine.client, spec, packages, tag)


async def _packages(spec: ImageSpec, progress: Progress) -> list[Path]:
    """The .deb files of a spec, from the cache or the archive; they are kept for a build after a change of a module."""
    folder = find_cache() / f"debs-{spec.packages_digest}"
    if not folder.is_dir():
        if prepared := await downloads.find_packages(spec.suite, spec.packages):
            return prepared
        progress(f"fetching the packages of {spec.name} {spec.version}")
        with tempfile.TemporaryDirectory(prefix=".debs-", dir=folder.parent) as name:
            found = await downloads.fetch(spec.suite, spec.packages, Path(name), lambda text: None)
            found[0].parent.rename(folder)
    return sorted(folder.glob("*.deb"))


def _build(client: DockerClient, spec: ImageSpec, packages: list[Path], base: str) -> None:
    from docker.errors import DockerException

    try:
        answers = client.api.build(
            fileobj=io.BytesIO(make_context(spec, packages)),
            custom_context=True,
            tag=spec.tag,
            buildargs={"BASE": base, **dict(spec.arguments)},
            network_mode="none",
            labels={OURS: OURS_VALUE},
            rm=True,
            forcerm=True,
            decode=True,
        )
        _check_build(spec, answers)
    except DockerException as error:
        raise MissingError(f"the image {spec.tag} cannot be built: {error}") from error


def _check_build(spec: ImageSpec, answers: Any) -> None:
    output: list[str] = []
    for answer in answers:
        output += str(answer.get("stream", "")).splitlines()
        if error := answer.get("error"):
            last = "\n".join(f"  | {line}" for line in output[-_EVIDENCE:] if line.strip())
            raise MissingError(f"the image {spec.tag} cannot be built: {error}\n{last}")


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o644
    archive.addfile(info, io.BytesIO(content))
