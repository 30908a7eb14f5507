"""What each image is made of, as data. The digest of all its inputs is its tag: it is built only when they change.

Pure but for reading the files that ship with the package.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from lab import packaged
from lab.declarations.encryptions import ENCRYPTIONS
from lab.declarations.servers import get_manifest
from lab.errors import UserError
from lab.plan.layout import find_home
from lab.runtime.debian.sources import VARIABLE
from lab.servers import get_software

PYTHON = "3.13"  # of Debian trixie: services and agents run on it
PYTHON_SUITE = "trixie"
_PYTHON_PACKAGES = (
    *("python3-minimal", "python3", "libc6"),
    *(one.library_package for one in ENCRYPTIONS.values() if one.library_package),
)
_DIGEST = 12  # hex digits: 48 bits distinguish the few images of a machine


@dataclass(frozen=True)
class ImageSpec:
    """An image to be built."""

    name: str  # of a server software, or "python"
    version: str
    suite: str  # Debian release of the base
    packages: tuple[str, ...]
    files: tuple[tuple[str, bytes], ...]  # build context by path: Dockerfile, modules/…
    archive: str = ""  # another source of packages than the machine's own
    arguments: tuple[tuple[str, str], ...] = ()  # ARG of the Dockerfile, but for BASE

    @property
    def tag(self) -> str:
        """`xmpplab/prosody:13.0-<digest>`."""
        digest = hashlib.sha256()
        for part in (self.suite, *self.packages, self.archive, *(part for pair in self.arguments for part in pair)):
            digest.update(part.encode() + b"\0")
        for path, content in self.files:
            digest.update(f"{path}\0{len(content)}\0".encode() + content)
        return f"xmpplab/{self.name}:{self.version}-{digest.hexdigest()[:_DIGEST]}"

    @property
    def packages_digest(self) -> str:
        """Names the set of .deb files that it needs."""
        return hashlib.sha256("\n".join((self.suite, *self.packages, self.archive)).encode()).hexdigest()[:_DIGEST]


def find_cache() -> Path:
    """The cache folder of what images and their mounts are made of; all of it can be fetched again.

    What is unfinished there has a name that begins with a dot.
    """
    return find_home() / "cache" / "containers"


def find_server_image(name: str, version: str) -> ImageSpec:
    """The image of a server software that the lab knows."""
    declared = get_manifest(name)
    wanted = declared.version(version)
    if wanted is None:
        raise UserError(f"there is no image of {name}: it is not installed from packages")
    modules = packaged.PACKAGE / "servers" / declared.folder / "modules"
    files = [("Dockerfile", _dockerfile("server")), ("modules.sh", _modules_script(name))]
    files += [(f"modules/{path.relative_to(modules)}", path.read_bytes()) for path in _sources(modules)]
    removed = (("NOT_IN_IMAGE", " ".join(declared.not_in_image)),)
    return ImageSpec(name, version, wanted.suite, wanted.packages, tuple(files), _archive(), removed)


def _modules_script(name: str) -> bytes:
    """Puts the lab's modules for a software where its configuration expects them."""
    target = f"/lab-modules/{name}"
    build = get_software(name).build("", "", "/modules", target) or ("cp", "-R", "/modules/.", target)
    return f"mkdir -p {target}\n{shlex.join(build)}\n".encode()


def find_python_image() -> ImageSpec:
    """The image in which services and agents run."""
    files = (("Dockerfile", _dockerfile("python")),)
    return ImageSpec("python", PYTHON, PYTHON_SUITE, _PYTHON_PACKAGES, files, _archive())


def _dockerfile(name: str) -> bytes:
    return (packaged.find_folder("images") / name / "Dockerfile").read_bytes()


def _sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _archive() -> str:
    return os.environ.get(VARIABLE, "")
