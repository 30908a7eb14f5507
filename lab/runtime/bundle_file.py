"""A bundle: a folder of files as one tar archive, in which each content is there once and has its hash.

The first member is `manifest.json`: version, what it was made for, and the SHA-256 and size of each file by its path.
The others are files, each under the first path that has its content. So it can also be opened with tar, and only
regular files with paths of the manifest are ever written when it is read.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from lab.errors import UserError
from lab.input_files import decode_json

VERSION = 1
MANIFEST = "manifest.json"

_MOST_MANIFEST = 64 << 20  # bytes; a bundle has some thousand files
_BLOCK = 1 << 20
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class BundledFile:
    """One file of a bundle."""

    sha256: str
    size: int  # bytes


@dataclass(frozen=True)
class Manifest:
    """What a bundle has."""

    version: int
    xmpplab: str  # the version that made it
    architecture: str  # Debian's name of the machine's
    files: dict[str, BundledFile]  # by their path


def write_bundle(folder: Path, file: IO[bytes], about: Mapping[str, str]) -> None:
    """Write all files of a folder; `about` are `xmpplab` and `architecture` of the manifest."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    files = {
        path.relative_to(folder).as_posix(): BundledFile(sha256=hash_file(path), size=path.stat().st_size)
        for path in paths
    }
    manifest = Manifest(VERSION, about["xmpplab"], about["architecture"], files)
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        data = (json.dumps(asdict(manifest), indent=1) + "\n").encode()
        archive.addfile(_describe(MANIFEST, len(data)), io.BytesIO(data))
        written: set[str] = set()
        for name, one in files.items():
            if one.sha256 not in written:
                written.add(one.sha256)
                with (folder / name).open("rb") as content:
                    archive.addfile(_describe(name, one.size), content)


def read_bundle(file: Path, folder: Path) -> Manifest:
    """Write the files of a bundle into an empty folder, each with the hash that the manifest gives; the manifest.

    Raises UserError for what is no bundle, or a damaged one.
    """
    try:
        with tarfile.open(file, mode="r:") as archive:
            manifest = _read_manifest(archive, file)
            _extract(archive, manifest, file, folder)
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{file}: there is no such file") from None
    except (tarfile.TarError, EOFError) as error:
        raise UserError(f"{file}: is no bundle of `xmpplab prepare`, or a damaged one: {error}") from None
    return manifest


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _describe(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info


def _read_manifest(archive: tarfile.TarFile, file: Path) -> Manifest:
    first = archive.next()
    content = archive.extractfile(first) if first is not None and first.isreg() else None
    if first is None or content is None or first.name != MANIFEST or first.size > _MOST_MANIFEST:
        raise UserError(f"{file}: is no bundle of `xmpplab prepare`: it does not begin with {MANIFEST}")
    try:
        text = content.read().decode()
    except UnicodeDecodeError:
        raise UserError(f"{file}: {MANIFEST} is not UTF-8 text: the bundle is damaged") from None
    manifest = decode_json(text, Manifest, f"{file}: {MANIFEST}", version=VERSION)
    for name, one in manifest.files.items():
        within_file = any(str(parent) in manifest.files for parent in PurePosixPath(name).parents)
        if within_file or not _is_inside(name) or not _HASH.fullmatch(one.sha256):
            raise UserError(f"{file}: {MANIFEST} names {name!r}, which no bundle has: do not use it")
    return manifest


def _is_inside(name: str) -> bool:
    """Whether a path stays below its folder, and is written in one way only."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and path.as_posix() == name and "\0" not in name


def _extract(archive: tarfile.TarFile, manifest: Manifest, file: Path, folder: Path) -> None:
    places: dict[str, Path] = {}  # of contents by their hash
    while (member := archive.next()) is not None:
        one = manifest.files.get(member.name)
        content = archive.extractfile(member) if one is not None and member.isreg() else None
        if one is None or content is None or (folder / member.name).exists():
            raise UserError(f"{file}: {member.name!r} is not in its {MANIFEST}: the bundle is damaged, or was changed")
        target = folder / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if _copy(content, target, one.size) != one.sha256:
            raise UserError(f"{file}: {member.name} has another hash than in {MANIFEST}: the bundle is damaged")
        places[one.sha256] = target
    for name, one in manifest.files.items():
        target = folder / name
        if target.exists():
            continue
        if one.sha256 not in places:
            raise UserError(f"{file}: {name} is missing: the bundle is not whole")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(places[one.sha256], target)


def _copy(content: IO[bytes], target: Path, size: int) -> str:
    """Write a file of at most `size` bytes; its hash."""
    digest = hashlib.sha256()
    with target.open("xb") as written:
        left = size
        while left > 0 and (block := content.read(min(_BLOCK, left))):
            digest.update(block)
            written.write(block)
            left -= len(block)
    target.chmod(0o644)
    return digest.hexdigest()


def move_new(source: Path, target: Path) -> None:
    """Move what a folder has into another; what is there already is replaced."""
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        place = target / path.name
        if place.is_dir():
            shutil.rmtree(place)
        path.replace(place)
