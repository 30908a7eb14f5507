"""Whether this machine has a library: what a process has loaded since then does not count."""

import ctypes

import pytest

from lab.errors import MissingError
from lab.runtime.debian import libraries


async def test_a_library_that_was_fetched_and_loaded_is_not_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def load(name: str) -> object:
        if not loaded:
            raise OSError(name)
        return object()

    async def fetched(package: str, progress: object) -> str:
        return f"/cache/{package}"

    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr(libraries, "ensure_library", fetched)
    for _ in range(2):  # the second time this process has it, and its children have not
        assert await libraries.find_library("libnone.so.1", "libnone1") == "/cache/libnone1"
        loaded.append("libnone.so.1")


async def test_an_error_says_which_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unreachable(package: str, progress: object) -> str:
        raise MissingError("the archive does not answer")

    monkeypatch.setattr(libraries, "ensure_library", unreachable)
    with pytest.raises(MissingError, match=r"libnone\.so\.2 .* libnone2, .*: the archive does not answer"):
        await libraries.find_library("libnone.so.2", "libnone2")
