"""The cache of the runtime `processes`: one tree of unpacked packages for each Debian release, one folder of modules.

    cache/trees/<release>-<architecture>-<digest>/   the tree; the file `stamp` in it says that it is complete
    cache/modules/<digest>/<software>-<version>/     the lab's own server modules, compiled where they must be
    cache/libraries/<release>-<architecture>-<digest>/   shared libraries for the lab's own processes (libraries.py)
    cache/clients/<client>-<release>-<architecture>-<digest>/   client programs (clients.py)
    cache/prepared/                                  downloads for a machine without network (downloads.py)
    cache/lock                                       held while an entry is built

Rules:
- what is unfinished has a name that begins with a dot, and is renamed when it is complete: who holds the lock may
  delete every such folder;
- a tree works only at the path that it was built for, so its stamp has its path;
- everything is readable by all users: as root the servers run as another user;
- with the stamp in place apt is not called at all: no network is needed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from importlib.resources import files as package_files
from pathlib import Path

from lab.declarations.manifest import ServerManifest, ServerVersion
from lab.declarations.servers import INSTALLED, MANIFESTS
from lab.errors import MissingError
from lab.runtime.build_cache import BuildCache, find_cache
from lab.runtime.debian import apt, downloads
from lab.runtime.protocol import Progress
from lab.servers import get_software
from lab.servers.software import File, UnpackedTree
from lab.system.subprocesses import run

FORMAT = 1  # of a tree: raise it when trees are built in another way

STAMP = "stamp"
TOOLS = "xmpplab-bin"  # in a tree: the commands that `xmpplab exec` finds
SPACE = 400 << 20  # bytes: 60 MB downloaded, 170 MB unpacked, and room for both

#: Starts a program of the tree with the tree's own loader.
_SCRIPT = """#!/bin/sh
exec {loader} --library-path {libraries} {program} "$@"
"""


def list_packages(release: str) -> list[str]:
    """Every package that some software of this release needs: a release has one tree for all."""
    return sorted({package for _, version in _of_release(release) for package in version.packages})


def find_tree(release: str, architecture: str) -> Path:
    """The path of a release's tree, whether it exists or not."""
    text = "\n".join([str(FORMAT), release, *apt.BASE, *list_packages(release)])
    return find_cache() / "trees" / f"{release}-{architecture}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def find_complete_trees(release: str) -> list[Path]:
    """Complete trees of a release as this version builds them, for any architecture."""
    return [path for path in sorted((find_cache() / "trees").glob(find_tree(release, "*").name)) if is_complete(path)]


def is_complete(tree: Path) -> bool:
    """True if a tree is complete, and was built for this path."""
    try:
        return (tree / STAMP).read_text().strip() == str(tree)
    except (FileNotFoundError, NotADirectoryError):
        return False


async def ensure_tree(release: str, progress: Progress) -> Path:
    """The tree of a release, built if it does not exist. Raises MissingError."""
    tree = find_tree(release, await apt.get_architecture())
    if is_complete(tree):
        return tree
    async with build_cache().locked(progress):
        if not is_complete(tree):  # another process may have built it meanwhile
            await _build_tree(release, tree, progress)
    return tree


async def ensure_modules(trees: dict[str, Path], progress: Progress) -> Path:
    """The folder of the lab's modules, by software and version; compiled with the tree of its release if need be.

    `trees` are those of the releases in use; versions of other releases are left out.
    """
    target = find_modules_folder(trees)
    if is_complete(target):
        return target
    async with build_cache().locked(progress):
        if not is_complete(target):
            await _build_modules(trees, target, progress)
    return target


def find_modules_folder(trees: dict[str, Path]) -> Path:
    """The path of the modules of these releases' software, compiled with these trees."""
    digest = hashlib.sha256(str(FORMAT).encode())
    for manifest, version in _of_releases(trees):
        digest.update(f"{manifest.name}-{version.number}\0{trees[version.suite]}\0".encode())
        for path in sorted(_sources(manifest)):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return find_cache() / "modules" / digest.hexdigest()[:16]


def build_cache() -> BuildCache:
    """The cache of trees, modules, libraries, client programs and prepared downloads."""
    return BuildCache(find_cache(), ("trees", "modules", "libraries", "clients", downloads.SECTION))


async def _build_tree(release: str, tree: Path, progress: Progress) -> None:
    _check_space()
    apt.find_patchelf()  # raises before 60 MB are downloaded
    with open_unfinished(tree) as work:
        packages = await downloads.fetch(
            release, list_packages(release), work / "download", lambda text: progress(f"{release}: {text}")
        )
        unpacked = work / "tree"
        await apt.unpack(packages, unpacked, progress)
        await apt.relocate(unpacked, tree, progress)
        libraries = tree / "usr" / "lib" / apt.find_triplet(unpacked)
        loader = str(libraries / apt.find_loader(unpacked))
        final = UnpackedTree(str(tree), str(libraries), loader, str(tree / TOOLS))
        write_tools(unpacked, final, [manifest for manifest, _ in _of_release(release)])
        make_readable(unpacked)
        finish(unpacked, tree)


async def _build_modules(trees: dict[str, Path], target: Path, progress: Progress) -> None:
    with open_unfinished(target) as work:
        built = work / "modules"
        built.mkdir()
        for manifest, version in _of_releases(trees):
            await _build_version(manifest, version, trees[version.suite], work / "source", built, progress)
        make_readable(built)
        finish(built, target)


async def _build_version(
    manifest: ServerManifest, version: ServerVersion, tree: Path, sources_folder: Path, built: Path, progress: Progress
) -> None:
    """The modules for one version of a software, in a folder of their own below `built`."""
    folder = f"{manifest.name}-{version.number}"
    source, target = sources_folder / folder, built / folder
    source.mkdir(parents=True)
    for path in _sources(manifest):
        (source / path.name).write_bytes(path.read_bytes())
    command = get_software(manifest.name).build(str(tree), apt.find_triplet(tree), str(source), str(target))
    if command is None:
        shutil.copytree(source, target)
        return
    target.mkdir()
    progress(f"compiling the lab's modules for {manifest.name} {version.number}")
    code, output = await run(command, {"HOME": str(sources_folder.parent)})
    if code:
        raise MissingError(f"the lab's modules for {manifest.name} {version.number} cannot be compiled:\n{output}")


@contextlib.contextmanager
def open_unfinished(target: Path) -> Iterator[Path]:
    """A folder to make something in, beside where it will be; deleted at the end."""
    target.parent.mkdir(exist_ok=True)
    target.parent.chmod(0o755)
    work = target.with_name(f".{target.name}")
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work)


def finish(made: Path, target: Path) -> None:
    """Write the stamp and rename the folder; one without a stamp that has the name is deleted."""
    (made / STAMP).write_text(f"{target}\n")
    (made / STAMP).chmod(0o644)
    if target.exists():
        shutil.rmtree(target)
    made.rename(target)


def make_readable(root: Path) -> None:
    """Let all users read a folder and all in it, whatever the umask was; only the owner may write."""
    for folder, _, files in os.walk(root):
        os.chmod(folder, 0o755)  # noqa: PTH101, S103 - Debian's packages: no secrets
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _sources(manifest: ServerManifest) -> list[Path]:
    """Files of the lab's modules for a software."""
    folder = Path(str(package_files("lab.servers") / manifest.folder / "modules"))
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []


def _of_releases(releases: Iterable[str]) -> list[tuple[ServerManifest, ServerVersion]]:
    """Software that these releases have, by version, in an order that does not depend on theirs."""
    return [found for release in sorted(releases) for found in _of_release(release)]


def _of_release(release: str) -> list[tuple[ServerManifest, ServerVersion]]:
    """Software that a release has, by version."""
    installed = (MANIFESTS[name] for name in INSTALLED)
    return [(one, version) for one in installed for version in one.versions if version.suite == release]


def _check_space() -> None:
    free = shutil.disk_usage(find_cache()).free
    if free < SPACE:
        raise MissingError(
            f"{find_cache()} has {free >> 20} MB free and the servers need {SPACE >> 20} MB: "
            "free some space, or set XMPPLAB_HOME"
        )


def write_tools(unpacked: Path, tree: UnpackedTree, manifests: Iterable[ServerManifest]) -> None:
    """Write the commands of these softwares into a tree that is at `unpacked` and will be moved to `tree.prefix`."""
    folder = unpacked / TOOLS
    folder.mkdir()
    programs = Path("usr/bin")
    for manifest in manifests:
        plain = (name for name in manifest.tools if (unpacked / programs / name).exists())
        files = [File(name, _started(tree, Path(tree.prefix) / programs / name), 0o755) for name in plain]
        for file in (*files, *get_software(manifest.name).tools(tree)):
            (folder / file.path).write_text(file.text)
            (folder / file.path).chmod(file.mode)


def _started(tree: UnpackedTree, program: Path) -> str:
    return _SCRIPT.format(loader=tree.loader, libraries=tree.libraries, program=program)
