"""Packages as .deb files: those that were prepared for a machine without network, else from the archive.

    cache/prepared/packages/<release>-<architecture>-<digest>/   the .deb files of one set of packages

`xmpplab prepare --from` writes them (lab.lifecycle.bundle). What is made of them is made as ever: apt is not called.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from lab.runtime.build_cache import find_cache
from lab.runtime.debian import apt, sources
from lab.runtime.protocol import Progress

SECTION = "prepared"
PACKAGES = "packages"


def find_prepared() -> Path:
    """The folder of prepared downloads, whether it exists or not."""
    return find_cache() / SECTION


def name_set(release: str, packages: Sequence[str], architecture: str) -> str:
    """The name of the folder of a set of packages and of all they depend on."""
    text = "\n".join(sorted({*apt.BASE, *packages}))
    return f"{release}-{architecture}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


async def find_packages(release: str, packages: Sequence[str]) -> list[Path]:
    """The prepared .deb files of a set; [] where it has not been prepared."""
    folder = find_prepared() / PACKAGES / name_set(release, packages, await apt.get_architecture())
    return sorted(folder.glob("*.deb"))


async def fetch(release: str, packages: Sequence[str], folder: Path, progress: Progress) -> list[Path]:
    """The .deb files of packages and what they depend on, if need be downloaded into `folder`. Raises MissingError."""
    if prepared := await find_packages(release, packages):
        return prepared
    archives = sources.choose_sources(release, sources.read_machine_sources(), os.environ.get(sources.VARIABLE))
    return await apt.download(archives, packages, folder, progress)
