"""The tree of unpacked packages and the modules that live tests of lab/servers start servers from."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from lab.errors import MissingError
from lab.runtime.debian.trees import ensure_modules, ensure_tree


@pytest_asyncio.fixture(scope="session")
async def tree() -> Path:
    """Debian's prosody and ejabberd unpacked, as the runtime `processes` keeps them in its cache."""
    try:
        return await ensure_tree("trixie", print)
    except MissingError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI without servers judges nothing: {error}", pytrace=False)
        pytest.skip(f"no servers to start: {error}")


@pytest.fixture(scope="session")
def new_folder() -> Iterator[Callable[[], Path]]:
    """Makes folders with short paths (sockets!) that other users may pass through, unlike pytest's own."""
    made: list[Path] = []

    def make() -> Path:
        made.append(Path(tempfile.mkdtemp(prefix="xl-")))
        made[-1].chmod(0o711)
        return made[-1]

    yield make
    for folder in made:
        shutil.rmtree(folder)


@pytest.fixture
def root(new_folder: Callable[[], Path]) -> Path:
    """A folder for the servers of one test."""
    return new_folder()


@pytest_asyncio.fixture(scope="session")
async def modules(tree: Path) -> Path:
    """The folder with the modules of each software, as the runtime `processes` keeps it in its cache."""
    return await ensure_modules({"trixie": tree}, print)
