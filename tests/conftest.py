"""What every test shares.

Where the engine is missing, container tests are counted skips, and in CI failures. Where several processes run tests
side by side (pytest-xdist), one that is marked `alone` has the machine to itself; files of such tests come last, where
nobody else is kept waiting. Those that start servers come first: what is short fills up the rest.
"""

import contextlib
import fcntl
import functools
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import settings

from lab.lifecycle.lab import Lab
from lab.testing.labs import Labs

pytest_plugins = ["pytester"]

# A busy machine is slow now and then: how long one example takes says nothing about the code.
settings.register_profile("xmpplab", deadline=None, max_examples=50)
settings.load_profile("xmpplab")


RUNTIMES = ["processes", pytest.param("containers", marks=pytest.mark.containers)]


@pytest.fixture(params=RUNTIMES, scope="session")
def runtime(request: pytest.FixtureRequest) -> str:
    """Every test that takes it runs over both."""
    return str(request.param)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lab_on(runtime: str) -> AsyncIterator[Callable[[str], Awaitable[Lab]]]:
    """`await lab_on("pair")` is a lab of that topology on this runtime, which ends with the session."""
    labs = Labs(runtime)
    yield labs.get
    await labs.close()


def pytest_configure(config: pytest.Config) -> None:
    """Let what tests start hear Ctrl-C: in the background a shell has it ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@functools.cache
def engine_problem() -> str | None:
    """Why containers cannot be had here, None if they can."""
    from lab.runtime.containers import Containers

    bad = [one for one in Containers().prerequisites() if not one.good]
    return "; ".join(f"{one.what}: {one.found} ({one.remedy})" for one in bad) or None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """By file: those that start servers, all others, those in which something has the machine to itself."""
    live, alone = (
        {item.path for item in items if any(item.get_closest_marker(name) for name in names)}
        for names in (("live", "containers"), ("alone",))
    )
    items.sort(key=lambda item: 2 if item.path in alone else 0 if item.path in live else 1)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("containers") and (problem := engine_problem()):
        if os.environ.get("CI"):
            pytest.fail(f"CI without a container engine judges nothing: {problem}", pytrace=False)
        pytest.skip(f"no container engine: {problem}")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Outside of everything, timeouts too: a test that waits for its turn does nothing yet."""
    with _turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextlib.contextmanager
def _turn(*, alone: bool) -> Iterator[None]:
    """Held by many, or by one; who waits to be alone keeps others from beginning anew. Two files serve as the locks."""
    here = Path(__file__)
    with here.open() as door, (here.parent.parent / "pyproject.toml").open() as room:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield
