"""What tests of the command line share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.runtime.build_cache import find_cache
from lab.system.processes import find_marked
from tests.network.test_service import until


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own, with a short path: sockets lie below it."""
    monkeypatch.setenv("XMPPLAB_CACHE", str(find_cache()))
    path = Path(tempfile.mkdtemp(prefix="xl-"))
    monkeypatch.setenv("XMPPLAB_HOME", str(path))
    path.chmod(0o711)
    yield path
    until(lambda: not any(folder.startswith(str(path)) for folder in find_marked()))
    assert not list((path / "labs").iterdir())
    shutil.rmtree(path)
