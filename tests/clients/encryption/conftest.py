"""libotr for the tests of OTR: the machine's, or fetched once into the lab's cache."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_asyncio

from lab.clients.encryption import libotr
from lab.clients.encryption.libotr import OtrClient
from lab.declarations.encryptions.otr import DECLARATION
from lab.runtime.debian import libraries


@pytest_asyncio.fixture(scope="session")
async def otr_folder() -> str | None:
    """The folder of libotr, None where the machine has it."""
    if libraries.is_installed(DECLARATION.library):
        return None
    return str(await libraries.ensure_library(DECLARATION.library_package, print))


@pytest_asyncio.fixture(scope="session")
async def library(otr_folder) -> libotr.Library:
    return libotr.load(otr_folder)


@pytest.fixture(scope="session")
def drawn_keys(library, tmp_path_factory) -> Path:
    """A folder with one key for each account, drawn once: that takes a second."""
    folder = tmp_path_factory.mktemp("keys")
    for account in ("alice@a.test", "bob@b.test"):
        OtrClient(account, folder / account, library).close()
    return folder


@pytest.fixture
def keys(drawn_keys, tmp_path) -> Callable[[str, str], Path]:
    """Makes a folder of a test's own, with the key of an account."""

    def copy(name: str, account: str) -> Path:
        folder = tmp_path / name
        if not folder.exists() and (drawn_keys / account).exists():
            shutil.copytree(drawn_keys / account, folder)
        return folder

    return copy
