"""What every test shares: where the engine is missing, container tests are counted skips, and in CI failures."""

import functools
import os
import signal

import pytest

pytest_plugins = ["pytester"]


def pytest_configure(config: pytest.Config) -> None:
    """Let what tests start hear Ctrl-C: in the background a shell has it ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@functools.cache
def engine_problem() -> str | None:
    """Why containers cannot be had here, None if they can."""
    from lab.runtime.containers import Containers

    bad = [finding for finding in Containers().findings() if not finding.good]
    return "; ".join(f"{one.what}: {one.found} ({one.remedy})" for one in bad) or None


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("containers") and (problem := engine_problem()):
        if os.environ.get("CI"):
            pytest.fail(f"CI without a container engine judges nothing: {problem}", pytrace=False)
        pytest.skip(f"no container engine: {problem}")
