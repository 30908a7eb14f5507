"""Packages of npm, by name, version and hash: downloaded by the machine's own npm, as its user has configured it.

Nothing is installed and no script of a package runs: the archive is checked and unpacked, without what it depends on.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

from lab.errors import MissingError
from lab.runtime.protocol import Progress
from lab.system.subprocesses import build_search_path, quote_end, run

TOOL = "npm"
#: Where packages are in a tree.
FOLDER = "usr/lib/node_modules"
_PATIENCE = 900.0  # seconds for a package
_TOP = "package"  # the folder that every archive of npm has


@dataclass(frozen=True)
class NpmPackage:
    """A package of npm."""

    name: str
    version: str
    integrity: str  # of its archive, as npm writes it: "sha512-", and the hash in base64

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


async def add_package(package: NpmPackage, tree: Path, work: Path, progress: Progress) -> None:
    """Download a package into the folder `work`, and unpack it into a tree. Raises MissingError, TimedOut."""
    if shutil.which(TOOL, path=build_search_path()) is None:
        raise MissingError(f"{package} is a package of npm, which is not installed (Debian: apt-get install npm)")
    work.mkdir()
    progress(f"downloading {package}")
    command = [TOOL, "pack", "--ignore-scripts", "--loglevel=error", str(package)]
    code, output = await run(command, folder=work, within=_PATIENCE)
    archives = list(work.glob("*.tgz"))
    if code or len(archives) != 1:
        raise MissingError(f"{package} cannot be downloaded by npm:\n{quote_end(output)}")
    check_integrity(package, archives[0].read_bytes())
    with tarfile.open(archives[0]) as archive:
        archive.extractall(work, filter="data")
    target = tree / FOLDER / package.name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(work / _TOP, target)


def check_integrity(package: NpmPackage, archive: bytes) -> None:
    """Raise MissingError unless this is the archive of the package."""
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if found != package.integrity:
        raise MissingError(f"what npm gives for {package} is another archive: its hash is {found}")
