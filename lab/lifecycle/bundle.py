"""Everything that is downloaded, in one file for a machine without network: made here, and put into a cache there.

    packages/<set>/*.deb          of servers, of the library for OTR, of images, of client programs
    base/<suite>-<machine>.tar.gz base images
    python/site-<digest>/         Python libraries of services and agents in containers
    wheels/                       Python packages that xmpplab itself is installed from

What is downloaded is checked as ever (apt's signatures, pip's hashes); who has the bundle relies on whoever made it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import packaged
from lab.declarations.encryptions import ENCRYPTIONS
from lab.declarations.servers import INSTALLED, MANIFESTS
from lab.errors import MissingError, UserError
from lab.lifecycle.programs import PROGRAMS, find_client
from lab.runtime import bundle_file
from lab.runtime.containers import base_image, image_specs, python_libraries
from lab.runtime.debian import apt, clients, downloads, libraries, trees
from lab.runtime.protocol import Progress
from lab.system.locks import try_lock
from lab.system.subprocesses import build_python_command, quote_end, run

LOCK = "requirements.lock"
WHEELS = "wheels"
_BASE, _SITE = "the base image of Debian {}", "Python libraries of containers"
_OWN = "Python packages of xmpplab itself"
_PATIENCE = 900.0  # seconds for pip
_UNFINISHED = ".{}.unfinished-"  # how the name of a bundle begins that is being written


@dataclass(frozen=True)
class PackageSet:
    """Packages that are fetched together, with what they depend on."""

    release: str
    packages: tuple[str, ...]
    what: str  # in words


@dataclass(frozen=True)
class Contents:
    """What a bundle has, in words, and its size."""

    parts: tuple[str, ...]
    size: int  # bytes of the file
    sha256: str  # of the file


def list_sets(programs: Sequence[str] = (), *, containers: bool = True) -> list[PackageSet]:
    """The sets of packages that labs need, and client programs by name. Raises UserError for one that is not known."""
    found = [PackageSet(one, tuple(trees.list_packages(one)), f"servers of Debian {one}") for one in _list_releases()]
    own = (one.library_package for one in ENCRYPTIONS.values() if one.library)  # of others: Python code, of images only
    found += [PackageSet(libraries.find_release(), (name,), f"the library {name}") for name in own]
    for spec in _list_images() if containers else ():
        found.append(PackageSet(spec.suite, spec.packages, f"the image of {spec.name} {spec.version}"))
    for name in programs:
        program = find_client(name)
        packages = tuple(clients.list_packages(program.packages))
        found.append(PackageSet(clients.RELEASE, packages, f"the client {program.name}"))
    return found


def _list_images() -> list[image_specs.ImageSpec]:
    servers = [(name, version.number) for name in INSTALLED for version in MANIFESTS[name].versions]
    return [image_specs.find_python_image(), *(image_specs.find_server_image(*one) for one in servers)]


async def make(file: Path, programs: Sequence[str], progress: Progress, *, containers: bool = True) -> Contents:
    """Download everything and write the bundle, whole or not at all. Raises MissingError, UserError."""
    if others := [name for name in programs if find_client(name).npm]:
        raise UserError(
            f"a bundle has packages of Debian only, and {', '.join(others)} is partly from npm: leave it out"
        )
    sets = list_sets(programs, containers=containers)
    architecture = await apt.get_architecture()
    parts = [one.what for one in sets]
    async with _open_room(progress) as room:
        delete_unfinished(file)
        folder = room / "bundle"
        for one in sets:
            await _download(one, architecture, folder, room, progress)
        if containers:
            parts += await _add_containers(architecture, folder, room, progress)
        if (lock := packaged.PACKAGE.parent / LOCK).is_file():
            await _download_wheels(lock, folder / WHEELS, progress)
            parts.append(_OWN)
        progress("writing the bundle")
        about = {"xmpplab": packaged.VERSION, "architecture": architecture}
        await asyncio.to_thread(_write, folder, file, about)
    return Contents(tuple(parts), file.stat().st_size, await asyncio.to_thread(bundle_file.hash_file, file))


async def fill(file: Path, progress: Progress) -> Contents:
    """Put a bundle into the cache, and unpack the servers. Raises UserError for what is no bundle for this machine."""
    architecture = await apt.get_architecture()
    async with _open_room(progress) as room:
        folder = room / "bundle"
        folder.mkdir()
        progress(f"reading {file.name}")
        manifest = await asyncio.to_thread(bundle_file.read_bundle, file, folder)
        if manifest.architecture != architecture:
            raise UserError(
                f"{file}: is for {manifest.architecture}, and this machine is {architecture}: make one here"
            )
        trees.make_readable(folder)
        for part in (path for path in folder.iterdir() if path.is_dir()):
            bundle_file.move_new(part, downloads.find_prepared() / part.name)
    sets = list_sets(containers=False)
    lacking = [one.what for one in sets if not await downloads.find_packages(one.release, one.packages)]
    if lacking:
        raise MissingError(
            f"{file}: was made by xmpplab {manifest.xmpplab}, and this is {packaged.VERSION}, which needs other "
            f"packages: {', '.join(lacking)} are not in it; make one with this version"
        )
    made = {release: await trees.ensure_tree(release, progress) for release in _list_releases()}
    await trees.ensure_modules(made, progress)
    parts = [one.what for one in list_sets(tuple(PROGRAMS)) if await downloads.find_packages(one.release, one.packages)]
    parts += _list_prepared(architecture)
    return Contents(tuple(parts), file.stat().st_size, await asyncio.to_thread(bundle_file.hash_file, file))


def _list_prepared(machine: str) -> list[str]:
    """What is prepared beside packages, in words."""
    suites = sorted({spec.suite for spec in _list_images()})
    found = [_BASE.format(suite) for suite in suites if base_image.find_prepared_base(suite, machine).is_file()]
    found += [_SITE] if python_libraries.find_prepared_site(machine).is_dir() else []
    return [*found, *([_OWN] if (downloads.find_prepared() / WHEELS).is_dir() else [])]


def _list_releases() -> list[str]:
    return sorted({version.suite for name in INSTALLED for version in MANIFESTS[name].versions})


@asynccontextmanager
async def _open_room(progress: Progress) -> AsyncIterator[Path]:
    """A folder in the cache, whose lock is held; deleted at the end."""
    async with trees.build_cache().locked(progress):
        prepared = downloads.find_prepared()
        prepared.mkdir(exist_ok=True)
        prepared.chmod(0o755)
        with tempfile.TemporaryDirectory(prefix=".bundle-", dir=prepared) as name:
            yield Path(name)


async def _download(one: PackageSet, architecture: str, folder: Path, room: Path, progress: Progress) -> None:
    name = downloads.name_set(one.release, one.packages, architecture)
    target = folder / downloads.PACKAGES / name
    if target.exists():  # several need the same
        return
    packages = await downloads.fetch(
        one.release, one.packages, room / name, lambda text: progress(f"{one.what}: {text}")
    )
    target.mkdir(parents=True)
    for path in packages:
        shutil.copyfile(path, target / path.name)
    shutil.rmtree(room / name, ignore_errors=True)  # nothing where it was prepared already


async def _add_containers(machine: str, folder: Path, room: Path, progress: Progress) -> list[str]:
    """Base images and Python libraries; what they are, in words."""
    suites = sorted({spec.suite for spec in _list_images()})
    for suite in suites:
        prepared = base_image.find_prepared_base(suite, machine)
        target = folder / "base" / prepared.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if prepared.is_file():
            shutil.copyfile(prepared, target)
        else:
            progress(f"making the base image of {suite}")
            await base_image.make_archive(suite, target)
    fetched = await python_libraries.fetch_site(machine, room / "site", progress)
    shutil.copytree(fetched, folder / "python" / python_libraries.find_prepared_site(machine).name)
    shutil.rmtree(fetched)
    return [*(_BASE.format(suite) for suite in suites), _SITE]


async def _download_wheels(lock: Path, target: Path, progress: Progress) -> None:
    """What `make` installs xmpplab from, for this Python."""
    prepared = downloads.find_prepared() / WHEELS
    if prepared.is_dir():
        shutil.copytree(prepared, target)
        return
    progress("fetching the Python packages of xmpplab itself")
    command = build_python_command("pip", "download", "--quiet", "--no-input", "--disable-pip-version-check")
    command += ["--no-deps", "--require-hashes", "--dest", str(target), "--requirement", str(lock)]
    code, output = await run(command, within=_PATIENCE)
    if code:
        raise MissingError(f"pip cannot fetch what {lock.name} names; it said\n{quote_end(output)}")


def delete_unfinished(file: Path) -> None:
    """Delete what a process that was killed while it wrote this bundle has left beside it."""
    name = re.compile(re.escape(_UNFINISHED.format(file.name)) + r"[a-z0-9_]{8}")
    for path in file.absolute().parent.iterdir():
        if not name.fullmatch(path.name) or path.is_symlink() or path.stat().st_uid != os.geteuid():
            continue
        if (lock := try_lock(path)) is not None:  # else a process writes it now
            path.unlink()
            os.close(lock)


def _write(folder: Path, file: Path, about: dict[str, str]) -> None:
    descriptor, name = tempfile.mkstemp(prefix=_UNFINISHED.format(file.name), dir=file.absolute().parent)
    try:
        with os.fdopen(descriptor, "wb") as written:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # until it is whole, however this process ends
            bundle_file.write_bundle(folder, written, about)
        Path(name).chmod(0o644)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink()
        raise
