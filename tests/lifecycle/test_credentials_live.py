"""Labs that follow each other with one file of credentials are the same for a client."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from lab.errors import MissingError, UserError
from lab.lifecycle.up import up
from lab.topology.files import load
from tests.runtimes import CONTAINERS, PROCESSES

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.mark.parametrize("runtime", [PROCESSES, CONTAINERS])
async def test_authority_password_and_addresses_outlive_a_lab(runtime: str, tmp_path: Path) -> None:
    file, name, seen = tmp_path / "phone.json", f"kept-{secrets.token_hex(3)}", set()
    for topology in ("pair,users=1", "pair,users=2"):
        lab = await up(load(topology), runtime=runtime, name=name, credentials=file, recreate=True)
        seen.add((lab.authority, lab.password, lab.keys.salt, *(one.address for one in lab.plan.servers)))
    try:
        assert len(seen) == 1
        assert (await up(load("pair,users=2"), runtime=runtime, name=name, credentials=file)).plan == lab.plan
        with pytest.raises(MissingError, match="credentials keeps, are in use"):
            await up(load("pair"), runtime=runtime, name=f"{name}-x", credentials=file)
        with pytest.raises(UserError, match="authority: not that of the credentials"):
            await up(load("pair,users=2"), runtime=runtime, name=name, credentials=tmp_path / "other.json")
    finally:
        await lab.down()
