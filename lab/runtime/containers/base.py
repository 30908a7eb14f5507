"""The Debian base of the lab's images: there already, pulled, or made from the archive that the machine's own apt uses.

A registry is asked once and briefly. Where it does not answer, mmdebstrap makes the same thing in about 12 s; where
mmdebstrap is not installed, the machine's apt fetches it into a temporary folder (it is one Perl script).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import MissingError
from lab.runtime.archive import VARIABLE, machine_sources, sources_for
from lab.runtime.containers.engine import OURS, OURS_VALUE, connect
from lab.runtime.protocol import Progress

if TYPE_CHECKING:
    from docker import DockerClient

_PULL_PATIENCE = 15  # seconds without a byte from the engine while it pulls
_MAKE_PATIENCE = 300  # seconds: 12 on a quick line
_EVIDENCE = 8  # last lines quoted of a tool that failed

#: What Debian's own slim images leave out; copyright files stay.
_SLIM = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
)


def ensure_base(client: DockerClient, suite: str, progress: Progress) -> str:
    """The tag of a base image of that release, made if there is none. Raises MissingError."""
    own, public = f"xmpplab/base:{suite}", f"debian:{suite}-slim"
    for tag in (own, public):
        if client.api.images(tag):
            return tag
    progress(f"getting the base image {public}")
    if _pull("debian", f"{suite}-slim"):
        return public
    progress(f"no registry answers: making a base image of {suite} from this machine's Debian archive")
    _make(client, suite, own)
    return own


def _pull(repository: str, tag: str) -> bool:
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    client = connect(_PULL_PATIENCE)
    try:
        client.images.pull(repository, tag)
    except (DockerException, RequestException):  # no registry, no right, no answer: there is another way
        return False
    finally:
        client.close()
    return True


def _make(client: DockerClient, suite: str, tag: str) -> None:
    listed = sources_for(suite, machine_sources(), os.environ.get(VARIABLE))
    with tempfile.TemporaryDirectory(prefix="xmpplab-base-") as name:
        folder = Path(name)
        archive = folder / "base.tar"
        options = [f"--dpkgopt={line}" for line in _SLIM]
        _run(
            [_mmdebstrap(folder), "--variant=apt", "--format=tar", "--quiet", *options, suite, str(archive), "-"],
            f"could not make a base image of Debian {suite}",
            given="\n".join(source.text() for source in listed),
        )
        repository, _, version = tag.partition(":")
        changes = ['CMD ["/bin/sh"]', f"LABEL {OURS}={OURS_VALUE}"]
        client.api.import_image_from_file(str(archive), repository=repository, tag=version, changes=changes)


def _mmdebstrap(folder: Path) -> str:
    if found := shutil.which("mmdebstrap"):
        return found
    remedy = "install it (apt-get install mmdebstrap), or load an image debian:trixie-slim into the engine"
    _run(["apt-get", "download", "mmdebstrap"], f"mmdebstrap is not installed: {remedy}", folder=folder)
    package = next(folder.glob("mmdebstrap_*.deb"))
    _run(["dpkg", "-x", str(package), str(folder / "tool")], f"cannot unpack mmdebstrap: {remedy}")
    return str(folder / "tool/usr/bin/mmdebstrap")


def _run(command: list[str], trouble: str, *, given: str = "", folder: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command, input=given, cwd=folder, capture_output=True, text=True, timeout=_MAKE_PATIENCE, check=False
        )
    except FileNotFoundError as error:
        raise MissingError(f"{trouble} ({error.filename} is not there)") from error
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"{trouble}: {command[0]} did not end within {_MAKE_PATIENCE} s") from error
    if done.returncode:
        last = "\n".join(f"  | {line}" for line in (done.stdout + done.stderr).splitlines()[-_EVIDENCE:])
        raise MissingError(f"{trouble}: {Path(command[0]).name} said\n{last}")
