"""Labs for the integration tests: one for each runtime and topology, ended with the session."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from lab.lifecycle.lab import Lab
from lab.testing.labs import Labs

RUNTIMES = ["processes", pytest.param("containers", marks=pytest.mark.containers)]


@pytest.fixture(params=RUNTIMES, scope="session")
def runtime(request: pytest.FixtureRequest) -> str:
    """Every test that takes it runs over both."""
    return str(request.param)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lab_on(runtime: str) -> AsyncIterator[Callable[[str], Awaitable[Lab]]]:
    """`await lab_on("pair")` is a lab of that topology on this runtime."""
    labs = Labs(runtime)
    yield labs.get
    await labs.close()
