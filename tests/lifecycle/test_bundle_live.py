"""A bundle on a machine without network: in a network namespace, from an empty cache, servers start and talk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tree import ROOT

pytestmark = [pytest.mark.live, pytest.mark.slow]

WITHOUT_NETWORK = ("unshare", "--net", "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")


@pytest.fixture
def homes() -> Iterator[list[Path]]:
    """Two short paths: sockets lie below them."""
    paths = [Path(tempfile.mkdtemp(prefix="xl-")) for _ in range(2)]
    for path in paths:
        path.chmod(0o711)  # as root the servers run as another user
    yield paths
    for path in paths:
        shutil.rmtree(path)


def xmpplab(home: Path, *words: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "XMPPLAB_CACHE"}
    environment |= {"XMPPLAB_HOME": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*before, sys.executable, "-m", "lab.cli", *words],
        cwd=home, env=environment, text=True, capture_output=True, timeout=900, check=False,
    )  # fmt: skip


def test_labs_run_from_the_bundle_alone(homes: list[Path]) -> None:
    if subprocess.run([*WITHOUT_NETWORK, "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs root, or the right to make network namespaces")
    online, offline = homes
    file = online / "lab.bundle"
    made = xmpplab(online, "prepare", str(file), "--no-containers")
    assert made.returncode == 0, made.stderr
    filled = xmpplab(offline, "prepare", "--from", str(file), before=WITHOUT_NETWORK)
    assert filled.returncode == 0, filled.stderr
    assert made.stdout.splitlines()[-1] == filled.stdout.splitlines()[-1], "size and hash are the same"
    ran = xmpplab(
        offline, "run", "everyone_writes", "omemo_first_contact", "-t", "versions", "--runtime", "processes",
        before=WITHOUT_NETWORK,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
