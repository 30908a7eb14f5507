"""The Python libraries of services and agents, for the image's Python: fetched by the host's own pip.

So the host's proxy, certificates and index count, and both sides of a pipe run the same versions: those that are
installed beside this process, with what they require on the image's Python. Their hashes are checked where
requirements.lock is beside the package. They are in <home>/cache/containers/site-<digest>, compiled once, and are
mounted read-only.
"""

from __future__ import annotations

import functools
import hashlib
import re
import shutil
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from lab import packaged
from lab.declarations.encryptions import ENCRYPTIONS
from lab.errors import MissingError
from lab.runtime.containers.image_specs import PYTHON, find_cache
from lab.runtime.debian.downloads import find_prepared
from lab.runtime.protocol import Progress
from lab.system.subprocesses import build_python_command, quote_end, run

if TYPE_CHECKING:
    from packaging.requirements import Requirement

#: What lab.network.service, lab.clients.agent and lab.load.worker import, directly.
ROOTS = (
    *("cryptography", "dnspython", "networkx", "pydantic", "slixmpp", "uvloop"),
    *(package for one in ENCRYPTIONS.values() for package in one.packages),
)

_PATIENCE = 600  # seconds for pip: about 40 wheels, 20 MB
_GLIBC = range(41, 4, -1)  # minor versions of glibc 2.x whose wheels run on Debian trixie (glibc 2.41)
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}  # as the engine and as wheels call them


def find_site_folder(machine: str) -> Path:
    """The path of the libraries' folder; `machine` is the engine's name of its architecture ("amd64")."""
    return find_cache() / f"site-{_digest(machine)}"


def find_prepared_site(machine: str) -> Path:
    """The path of prepared libraries, which are not compiled yet."""
    return find_prepared() / "python" / f"site-{_digest(machine)}"


@functools.cache  # it takes 20 ms, and what is installed beside a process does not change while it runs
def _digest(machine: str) -> str:
    return hashlib.sha256("\n".join([PYTHON, machine, *_requirements()]).encode()).hexdigest()[:12]


async def fetch_site(machine: str, target: Path, progress: Progress) -> Path:
    """Fetch the libraries into a folder beside `target`; the caller compiles it and moves it there.

    Raises MissingError if pip cannot.
    """
    folder = Path(tempfile.mkdtemp(prefix=".site-", dir=target.parent))
    if (prepared := find_prepared_site(machine)).is_dir():
        shutil.copytree(prepared, folder, dirs_exist_ok=True)
        return folder
    progress("fetching the Python libraries of services and agents")
    requirements = folder / "requirements.txt"
    requirements.write_text("\n".join(_requirements()) + "\n")
    try:
        await _pip(machine, requirements, folder)
    except BaseException:
        shutil.rmtree(folder)
        raise
    requirements.unlink()
    for path in (folder, *folder.rglob("*")):  # the user of a container may read it
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def compute_closure(roots: tuple[str, ...] = ROOTS) -> dict[str, str]:
    """Distributions that these need on the image's Python, extras included, with the versions installed here."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()  # (distribution, extra); the extra "" is the distribution itself
    waiting = [Requirement(root) for root in roots]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in ("", *wanted.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                found[name], needs = _installed(name, extra)
                waiting += needs
    return dict(sorted(found.items()))


def _installed(name: str, extra: str) -> tuple[str, list[Requirement]]:
    """The version installed here, and what it needs on the image's Python for this extra."""
    from packaging.requirements import Requirement

    environment = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0", "extra": extra}
    try:
        described = metadata.metadata(name)  # once: it is parsed anew each time
    except metadata.PackageNotFoundError as error:
        raise MissingError(f"{name} is not installed in xmpplab's environment: install xmpplab again") from error
    needs = [Requirement(text) for text in described.get_all("Requires-Dist") or ()]
    return described["Version"], [one for one in needs if one.marker is None or one.marker.evaluate(environment)]


def add_hashes(pinned: dict[str, str], lock: str) -> list[str]:
    """Requirement lines for pip, with the lock's hashes; without any if the lock does not have each at that version."""
    blocks = {}
    for match in re.finditer(r"^([A-Za-z0-9._-]+)==(\S+)((?:\s*\\\n\s+--hash=\S+)+)", lock, re.MULTILINE):
        name = re.sub(r"[-_.]+", "-", match[1]).lower()
        blocks[name, match[2]] = " ".join(re.findall(r"--hash=\S+", match[3]))
    if not all(item in blocks for item in pinned.items()):
        return [f"{name}=={version}" for name, version in pinned.items()]
    return [f"{name}=={version} {blocks[name, version]}" for name, version in pinned.items()]


def _requirements() -> list[str]:
    lock = packaged.PACKAGE.parent / "requirements.lock"
    return add_hashes(compute_closure(), lock.read_text() if lock.is_file() else "")


async def _pip(machine: str, requirements: Path, target: Path) -> None:
    wheel_machine = _MACHINES.get(machine, machine)
    platforms = [f"manylinux_2_{minor}_{wheel_machine}" for minor in _GLIBC]
    platforms += [f"manylinux2014_{wheel_machine}", f"linux_{wheel_machine}"]
    command = build_python_command("pip", "install", "--quiet", "--no-input", "--disable-pip-version-check")
    command += ["--no-deps", "--no-compile", "--only-binary=:all:", "--implementation", "cp"]
    command += ["--python-version", PYTHON, "--ignore-requires-python"]  # some pips compare with the host's Python
    command += [part for platform in platforms for part in ("--platform", platform)]
    command += ["--target", str(target), "--requirement", str(requirements)]
    with tempfile.TemporaryDirectory(prefix=".pip-", dir=target.parent) as room:  # a killed pip deletes nothing
        code, output = await run(command, {"PIP_USER": "0", "TMPDIR": room}, within=_PATIENCE)
    if code:
        raise MissingError(f"pip cannot fetch the libraries for Python {PYTHON}; it said\n{quote_end(output)}")
