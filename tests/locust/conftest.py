"""A small lab for the tests of a file."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from lab.lifecycle.lab import Lab
from tests.locust.locust_process import a_pair


@pytest.fixture(scope="module")
async def lab() -> AsyncIterator[Lab]:
    """Two servers with a direct link, as processes."""
    async with a_pair("processes") as made:
        yield made
