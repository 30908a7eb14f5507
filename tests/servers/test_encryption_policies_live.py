"""Servers of the older versions that do not allow encryption; can_we_encrypt shows the newer ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from lab.federation import Federation
from lab.history.recorder import Recorder
from lab.lifecycle.lab import Lab
from lab.testing.session_labs import SessionLabs
from tests.runtimes import PROCESSES

pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    pytest.mark.parametrize("runtime", [PROCESSES], indirect=True, scope="session"),
]

TOPOLOGY = """
name: old-policies
servers:
  p-drops: {software: prosody@0.12, features: [-encrypted-messages]}
  p-none: {software: prosody@0.12, features: [-pep]}
  e-drops: {software: ejabberd@23.01, features: [-encrypted-messages]}
  e-none: {software: ejabberd@23.01, features: [-pep]}
  home: {}
links:
  - {between: [home, p-drops]}
  - {between: [home, p-none]}
  - {between: [home, e-drops]}
  - {between: [home, e-none]}
"""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lab(runtime: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    file = tmp_path_factory.mktemp("policies") / "old-policies.yaml"
    file.write_text(TOPOLOGY)
    labs = SessionLabs(runtime)
    yield await labs.get(str(file))
    await labs.close()


@pytest.mark.parametrize("server", ["p-drops", "e-drops"])
async def test_encrypted_messages_vanish_in_both_directions_and_others_pass(
    server: str, lab: Lab, tmp_path: Path
) -> None:
    with Recorder(tmp_path / "history.jsonl") as recorder:
        async with Federation(lab, recorder) as federation:
            here, there = federation.server("home"), federation.server(server)
            alice, bob = await here.person(encryption="omemo:2"), await there.person(encryption="omemo:2")
            assert str(await alice.attempt(bob, federation.secret())) == "lost (omemo:2)"
            assert str(await bob.attempt(alice, federation.secret())) == "lost (omemo:2)"
            carol, dave = await here.person(), await there.person()
            assert str(await carol.attempt(dave, "three")) == "read (plain)"
            assert not [one for one in await bob.device.archive() if one.encrypted], "nothing of it is kept"


@pytest.mark.parametrize("server", ["p-none", "e-none"])
async def test_without_pep_there_are_no_keys_and_nothing_is_sent(server: str, lab: Lab, tmp_path: Path) -> None:
    with Recorder(tmp_path / "history.jsonl") as recorder:
        async with Federation(lab, recorder) as federation:
            alice = await federation.server("home").person(encryption="omemo")
            bob = await federation.server(server).person(encryption="omemo", keys_optional=True)
            for sender, receiver in ((alice, bob), (bob, alice)):
                attempt = await sender.attempt(receiver, federation.secret())
                assert attempt.result == "refused" and "service-unavailable" in attempt.reason
