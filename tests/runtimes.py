"""The runtimes as parameters of tests."""

import pytest

PROCESSES = "processes"
CONTAINERS = pytest.param("containers", marks=pytest.mark.containers)
#: Where one runtime is enough to see what a test is about.
SLOW_CONTAINERS = pytest.param("containers", marks=[pytest.mark.containers, pytest.mark.slow])

#: For a test of `lab_on` that runs over `processes`, and over containers only with --all.
mostly_processes = pytest.mark.parametrize("runtime", [PROCESSES, SLOW_CONTAINERS], indirect=True, scope="session")
