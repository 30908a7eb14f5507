"""An ordinary user without root brings a lab up, in a home of their own, and leaves nothing that is not theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.lifecycle.runtimes import get_runtime
from lab.runtime.build_cache import find_cache
from tests.runtime.helpers import pair, unique

pytestmark = [pytest.mark.live, pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else too")]

ROOT = Path(__file__).parents[3]
NOBODY = 65534

SCRIPT = """
import asyncio, os, sys
from lab.lifecycle import up as labs
from lab.system.processes import find_marked
from tests.runtime.helpers import left_of, pair

async def main(name):
    lab = await labs.up(pair("prosody", "ejabberd"), runtime="processes", name=name)
    await lab.create_accounts("b", ["one"])
    assert {os.stat(f"/proc/{pid}").st_uid for pid in find_marked()[str(lab.layout.root)]} == {os.getuid()}
    assert lab.layout.root.stat().st_mode & 0o777 == 0o700
    await lab.down()
    print("left:", left_of(name))

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A short path: sockets lie below it."""
    path = Path(tempfile.mkdtemp(prefix="xl-"))
    os.chown(path, NOBODY, NOBODY)
    yield path
    shutil.rmtree(path)


def as_nobody(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    paths = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(home),
        "XMPPLAB_HOME": str(home),
        "XMPPLAB_CACHE": str(find_cache()),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    ids = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    return subprocess.run(words, cwd="/", env=environment, capture_output=True, text=True, timeout=120, **ids)


def interpreter(home: Path) -> str:
    """A Python that this user may start, and that has what the lab needs: ours may lie in root's home."""
    for candidate in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
        try:
            if as_nobody(home, candidate, "-c", "import lab.lifecycle.up, uvloop").returncode == 0:
                return candidate
        except OSError:
            continue
    pytest.skip("no Python that an ordinary user may start has the lab's libraries")


async def test_without_root(home: Path) -> None:
    await get_runtime("processes").prepare(pair("prosody", "ejabberd").servers, lambda text: None)
    done = as_nobody(home, interpreter(home), "-c", SCRIPT, unique("user"))
    assert done.stdout.strip() == "left: []", done.stderr
    assert all(path.stat().st_uid == NOBODY for path in home.rglob("*"))
