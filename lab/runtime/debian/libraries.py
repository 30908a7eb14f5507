"""Shared libraries from Debian packages, for this process and its children: one folder for each release and package.

Where the machine has a library, that one is used. Else its package is fetched and unpacked as those of the servers are,
into cache/libraries/<release>-<architecture>-<digest>/. It is of the machine's own release: its C library is that of
the machine.
"""

from __future__ import annotations

import ctypes
import hashlib
import platform
from functools import cache
from pathlib import Path

from lab.errors import MissingError
from lab.runtime.build_cache import find_cache
from lab.runtime.debian import apt, downloads, trees
from lab.runtime.protocol import Progress

_FALLBACK = "bookworm"  # of a machine that is no Debian: old, so that most C libraries are new enough for it
_SECTION = "libraries"


@cache
def is_installed(library: str) -> bool:
    """Whether this machine has a shared library of that name ("libotr.so.5").

    As it was found first: a process that has loaded a fetched one finds that one by its name from then on, and its
    children would not.
    """
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


async def find_library(library: str, package: str) -> str | None:
    """The folder of a library for a process of this machine; None if the machine has it. Raises MissingError."""
    if is_installed(library):
        return None
    try:
        return str(await ensure_library(package, lambda text: None))
    except MissingError as error:
        raise MissingError(
            f"{library} is not on this machine: install {package}, or let it be fetched, which failed: {error}"
        ) from error


async def ensure_library(package: str, progress: Progress) -> Path:
    """The folder that has the libraries of a package and of what it depends on. Raises MissingError."""
    tree = find_tree(package, await apt.get_architecture())
    if not trees.is_complete(tree):
        async with trees.build_cache().locked(progress):
            if not trees.is_complete(tree):  # another process may have fetched it meanwhile
                await _fetch(package, tree, progress)
    return tree / "usr" / "lib" / apt.find_triplet(tree)


def find_tree(package: str, architecture: str) -> Path:
    """The path of a package's tree, whether it exists or not."""
    digest = hashlib.sha256(f"{trees.FORMAT}\n{package}".encode()).hexdigest()[:12]
    return find_cache() / _SECTION / f"{find_release()}-{architecture}-{digest}"


async def _fetch(package: str, tree: Path, progress: Progress) -> None:
    with trees.open_unfinished(tree) as work:
        packages = await downloads.fetch(find_release(), [package], work / "download", progress)
        await apt.unpack(packages, work / "tree", progress)
        trees.make_readable(work / "tree")
        trees.finish(work / "tree", tree)


def find_release() -> str:
    """The Debian release of this machine, or one that is old enough for most."""
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        return _FALLBACK
    return system.get("VERSION_CODENAME", _FALLBACK) if system.get("ID") == "debian" else _FALLBACK
