"""What every test shares.

Where the engine is missing, container tests are counted skips, and in CI failures. Those marked `slow` run with `--all`
(`make test-all`) only: each repeats on another runtime, server or signal what an unmarked test shows. Several processes
share the tests out by file (pytest-xdist): files that start servers come first, short ones fill up the rest.
"""

import functools
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

try:
    import pytest_asyncio
    from hypothesis import HealthCheck, settings

    from lab.lifecycle.lab import Lab
    from lab.testing.session_labs import SessionLabs
    from tests.runtimes import CONTAINERS, PROCESSES
except ModuleNotFoundError as error:
    # After `make demo`, which installs what users need, or with a pytest of its own. Not pytest.exit: pytest prints a
    # traceback of an Exception in a conftest.
    sys.stderr.write(
        f"the tests need {error.name}: `make test` installs all that they need, then runs them "
        "(or: pip install --editable '.[dev]')\n"
    )
    raise SystemExit(4) from None

pytest_plugins = ["pytester"]

# Seconds of one test, for pytest-timeout. Not in pyproject.toml: after `make demo` there is no pytest-timeout, and
# scenarios can be run with pytest all the same.
os.environ.setdefault("PYTEST_TIMEOUT", "300")

# A busy machine is slow now and then: how long one example takes says nothing about the code.
settings.register_profile("xmpplab", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("xmpplab")

#: How many tests `slow` left out: of this process, and of those that pytest-xdist started.
LEFT_OUT = pytest.StashKey[int]()
#: Tests that run only if they are asked for: they download programs of others, and say what these do.
FOREIGN = {"suites": "--suites", "clients": "--clients"}


@pytest.fixture(params=[PROCESSES, CONTAINERS], scope="session")
def runtime(request: pytest.FixtureRequest) -> str:
    """Every test that takes it runs over both."""
    return str(request.param)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lab_on(runtime: str) -> AsyncIterator[Callable[[str], Awaitable[Lab]]]:
    """`await lab_on("pair")` is a lab of that topology on this runtime, which ends with the session."""
    labs = SessionLabs(runtime)
    yield labs.get
    await labs.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="run tests marked `slow`, too")
    for marker, option in FOREIGN.items():
        parser.addoption(option, action="store_true", help=f"run tests marked `{marker}`, and no others")


def pytest_configure(config: pytest.Config) -> None:
    """Let what tests start hear Ctrl-C: in the background a shell has it ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # What the lab prints is as wide as where no terminal is: readline, which pytest imports, gives 80 columns to all
    # that is started from here, without telling os.environ.
    os.environ.pop("COLUMNS", None)
    os.unsetenv("COLUMNS")


@functools.cache
def engine_problem() -> str | None:
    """Why containers cannot be had here, None if they can."""
    from lab.runtime.containers.runtime import Containers

    bad = [one for one in Containers().check_prerequisites() if not one.good]
    return "; ".join(f"{one.what}: {one.found} ({one.remedy})" for one in bad) or None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave slow tests out, unless they are asked for, all or by name; files that start servers come first."""
    for marker, option in FOREIGN.items():
        wanted = config.getoption(option)
        others = [item for item in items if bool(item.get_closest_marker(marker)) != wanted]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]
    if not config.option.all and not any("::" in argument for argument in config.args):
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        config.stash[LEFT_OUT] = len(slow)
    live = {item.path for item in items if item.get_closest_marker("live") or item.get_closest_marker("containers")}
    items.sort(key=lambda item: item.path not in live)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of pytest-xdist tells the one that started it; each has collected the same tests."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if count := config.stash.get(LEFT_OUT, 0):
        terminalreporter.write_line(f"{count} tests only in `make test-all`")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("containers") and (problem := engine_problem()):
        if os.environ.get("CI"):
            pytest.fail(f"CI without a container engine judges nothing: {problem}", pytrace=False)
        pytest.skip(f"no container engine: {problem}")
