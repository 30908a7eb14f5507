"""Labs for client programs: one for each pair of servers and runtime, as long as the session."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest_asyncio

from lab.lifecycle.lab import Lab
from lab.testing.session_labs import SessionLabs


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pair_of(runtime: str) -> AsyncIterator[Callable[[str, str], Awaitable[Lab]]]:
    """`await pair_of("prosody", "ejabberd")`: servers a and b of these softwares, on either runtime."""
    labs = SessionLabs(runtime)
    yield lambda one, other: labs.get(f"pair,software={one}+{other},users=0,features=websocket")
    await labs.close()
