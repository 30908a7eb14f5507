"""Whether this machine has a library: what a process has loaded since then does not count."""

import ctypes

import pytest

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
