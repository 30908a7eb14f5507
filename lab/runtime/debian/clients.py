"""Client programs from packages, for this machine's users: one tree for each, with all that it depends on.

They are Debian's, fetched and unpacked as the servers are; what Debian has not is npm's. No maintainer script runs; the
caches of GLib and GTK that those would have filled are made by the tree's own programs, with the tree as their root. So
a tree works where lab.system.file_root shows it.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.errors import MissingError
from lab.runtime.build_cache import find_cache
from lab.runtime.debian import apt, downloads, trees
from lab.runtime.debian.npm import NpmPackage, add_package
from lab.runtime.protocol import Progress
from lab.system import file_root, namespaces
from lab.system.subprocesses import build_python_command, run

RELEASE = "trixie"
FORMAT = 1  # of a tree: raise it when trees are built in another way
_SECTION = "clients"
#: Of every tree: a shell, and the programs that scripts of clients call.
_BASE = ("bash", "coreutils", "dash", "libc-bin", "sed", "tzdata")
#: Makers of caches, for the trees that have them.
_CACHES = (
    ("usr/lib/{triplet}/glib-2.0/glib-compile-schemas", "/usr/share/glib-2.0/schemas"),
    ("usr/lib/{triplet}/glib-2.0/gio-querymodules", "/usr/lib/{triplet}/gio/modules"),
    ("usr/lib/{triplet}/gdk-pixbuf-2.0/gdk-pixbuf-query-loaders", "--update-cache"),
    ("usr/bin/update-mime-database", "/usr/share/mime"),
    ("usr/bin/fc-cache", "--system-only"),
)


def find_tree(client: str, packages: Sequence[str], architecture: str, npm: Sequence[NpmPackage] = ()) -> Path:
    """The path of a client's tree, whether it exists or not."""
    text = "\n".join([str(FORMAT), RELEASE, *apt.BASE, *_BASE, *sorted(packages), *map(str, npm)])
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return find_cache() / _SECTION / f"{client}-{RELEASE}-{architecture}-{digest}"


def list_packages(packages: Sequence[str]) -> list[str]:
    """All that a client's tree is made of, from the packages that the client names."""
    return [*_BASE, *packages]


async def ensure_client(
    client: str, packages: Sequence[str], progress: Progress, npm: Sequence[NpmPackage] = ()
) -> Path:
    """The tree of a client, fetched if it does not exist. Raises MissingError."""
    tree = find_tree(client, packages, await apt.get_architecture(), npm)
    if not trees.is_complete(tree):
        async with trees.build_cache().locked(progress):
            if not trees.is_complete(tree):  # another process may have fetched it meanwhile
                await _fetch(client, packages, npm, tree, progress)
    return tree


async def _fetch(
    client: str, packages: Sequence[str], npm: Sequence[NpmPackage], tree: Path, progress: Progress
) -> None:
    def report(text: str) -> None:
        progress(f"{client}: {text}")

    with trees.open_unfinished(tree) as work:
        files = await downloads.fetch(RELEASE, list_packages(packages), work / "download", report)
        unpacked = work / "tree"
        await apt.unpack(files, unpacked, report)
        for number, package in enumerate(npm):
            await add_package(package, unpacked, work / f"npm{number}", report)
        trees.make_readable(unpacked)
        await _make_caches(unpacked, work / "root")
        trees.make_readable(unpacked)
        trees.finish(unpacked, tree)


async def _make_caches(tree: Path, folder: Path) -> None:
    folder.mkdir()
    triplet = apt.find_triplet(tree)
    for program, argument in _CACHES:
        path = program.format(triplet=triplet)
        if not (tree / path).exists():
            continue
        code, output = await run(
            build_python_command(__name__, str(tree), str(folder), f"/{path}", argument.format(triplet=triplet))
        )
        if code:
            raise MissingError(f"/{path} of the client's packages failed: {output.strip()}")


def main() -> int:
    """Run a program with a tree as its root, which it may write: TREE FOLDER PROGRAM ARGUMENTS."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("tree", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    namespaces.enter(network=False)
    file_root.enter(options.tree, options.folder, writable=True)
    return subprocess.run(options.command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
