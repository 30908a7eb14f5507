"""A lab comes up where nothing has been fetched yet: what somebody who has just cloned the project meets first."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.lifecycle import up as labs
from lab.lifecycle.runtimes import choose
from lab.plan.layout import Layout
from lab.runtime.build_cache import VARIABLE
from lab.runtime.debian import trees
from tests.runtime.helpers import left_of, pair, unique


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty one that everybody may enter: servers that root starts run as somebody else."""
    path = Path(tempfile.mkdtemp(prefix="xl-"))
    path.chmod(0o755)
    monkeypatch.setenv(VARIABLE, str(path))
    yield path
    shutil.rmtree(path)


@pytest.mark.live
async def test_with_an_empty_cache(cache: Path) -> None:
    name, said = unique("first"), list[str]()
    lab = await labs.up(pair(), runtime="processes", name=name, progress=said.append)
    try:
        assert trees.is_complete(next((cache / "trees").iterdir())), said
    finally:
        await lab.down()
    assert left_of(name) == []


async def test_addresses_are_taken_before_there_is_software(cache: Path) -> None:
    """Both are begun at once; none waits for the other."""
    reservation = await choose("processes").reserve(Layout.of(unique("claim")), pair().servers)
    reservation.release()
    assert list(cache.iterdir()) == []
