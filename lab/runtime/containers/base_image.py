"""The Debian base of the lab's images: found, pulled, or built from the archive that the machine's own apt uses.

A registry is asked once, with a short timeout. Where it does not answer, mmdebstrap builds the same in about 12 s;
where mmdebstrap is not installed, the machine's apt fetches it into a temporary folder (it is one Perl script).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from lab.errors import MissingError, TimedOut
from lab.runtime.containers.engine import OURS, OURS_VALUE, DockerEngine, connect
from lab.runtime.containers.image_specs import find_cache
from lab.runtime.debian.downloads import find_prepared
from lab.runtime.debian.sources import VARIABLE, choose_sources, read_machine_sources
from lab.runtime.protocol import Progress
from lab.system.subprocesses import quote_end, run

_PULL_PATIENCE = 15  # seconds without a byte from the engine while it pulls
_MAKE_PATIENCE = 300  # seconds: 12 on a quick line
_GRACE = 10.0  # seconds for mmdebstrap to delete what it has unpacked

#: What Debian's own slim images leave out; copyright files stay.
_SLIM = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
)


async def ensure_base(engine: DockerEngine, suite: str, progress: Progress) -> str:
    """The tag of a base image of that release, built if there is none. Raises MissingError."""
    own, public = f"xmpplab/base:{suite}", f"debian:{suite}-slim"
    for tag in (own, public):
        if await engine.call(engine.client.api.images, tag):
            return tag
    if (prepared := find_prepared_base(suite, await engine.machine())).is_file():
        await _import(engine, prepared, own)
        return own
    progress(f"getting the base image {public}")
    if await engine.call(_pull, "debian", f"{suite}-slim"):
        return public
    progress(f"no registry is reachable: making a base image of {suite} from this machine's Debian archive")
    await make_base(engine, suite, own)
    return own


def _pull(repository: str, tag: str) -> bool:
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    client = connect(_PULL_PATIENCE)
    try:
        client.images.pull(repository, tag)
    except (DockerException, RequestException):  # no registry, no permission, no answer: the image is built instead
        return False
    finally:
        client.close()
    return True


async def make_base(engine: DockerEngine, suite: str, tag: str) -> None:
    """Build a base image with that tag from the archive; the caller holds the cache's lock. Raises MissingError."""
    with tempfile.TemporaryDirectory(prefix=".base-", dir=find_cache()) as name:
        archive = Path(name) / "base.tar"
        await make_archive(suite, archive)
        await _import(engine, archive, tag)


def find_prepared_base(suite: str, machine: str) -> Path:
    """The prepared archive of a base image, whether it exists or not."""
    return find_prepared() / "base" / f"{suite}-{machine}.tar.gz"


async def make_archive(suite: str, archive: Path) -> None:
    """Write the files of a base image into a tar archive, from the Debian archive. Raises MissingError."""
    listed = choose_sources(suite, read_machine_sources(), os.environ.get(VARIABLE))
    options = [f"--dpkgopt={line}" for line in _SLIM]
    tool = await _mmdebstrap(archive.parent)
    await _run(
        [tool, "--variant=apt", "--format=tar", "--quiet", *options, suite, str(archive), "-"],
        f"could not make a base image of Debian {suite}",
        given="\n".join(source.text() for source in listed),
    )


async def _import(engine: DockerEngine, archive: Path, tag: str) -> None:
    repository, _, version = tag.partition(":")
    changes = ['CMD ["/bin/sh"]', f"LABEL {OURS}={OURS_VALUE}"]
    api = engine.client.api
    await engine.call(api.import_image_from_file, str(archive), repository=repository, tag=version, changes=changes)


async def _mmdebstrap(folder: Path) -> str:
    if found := shutil.which("mmdebstrap"):
        return found
    remedy = "install it (apt-get install mmdebstrap), or load an image debian:trixie-slim into the engine"
    await _run(["apt-get", "download", "mmdebstrap"], f"mmdebstrap is not installed: {remedy}", folder=folder)
    package = next(folder.glob("mmdebstrap_*.deb"))
    await _run(["dpkg", "-x", str(package), str(folder / "tool")], f"cannot unpack mmdebstrap: {remedy}")
    return str(folder / "tool/usr/bin/mmdebstrap")


async def _run(command: list[str], trouble: str, *, given: str = "", folder: Path | None = None) -> None:
    try:
        code, output = await run(command, given=given, folder=folder, within=_MAKE_PATIENCE, grace=_GRACE)
    except FileNotFoundError as error:
        raise MissingError(f"{trouble} ({error.filename} is not there)") from error
    except TimedOut as error:
        raise MissingError(f"{trouble}: {error}") from error
    if code:
        raise MissingError(f"{trouble}: {Path(command[0]).name} said\n{quote_end(output)}")
