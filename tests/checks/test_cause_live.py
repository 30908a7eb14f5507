"""A stream error of a real server is quoted as the cause of what was lost with the stream."""

import re
from pathlib import Path

import pytest

from lab.lifecycle.up import up
from lab.runner.run import run_scenario
from lab.runner.scenarios import get_info
from lab.topology.files import load
from tests.runner import small_scenarios

pytestmark = pytest.mark.live


@pytest.mark.parametrize("software", [pytest.param("prosody", marks=pytest.mark.slow), "ejabberd"])
async def test_a_server_that_closes_the_senders_stream_is_quoted(software: str, tmp_path: Path) -> None:
    lab = await up(load(f"pair,software={software}"), runtime="processes", owned=True)
    try:
        result = await run_scenario(get_info(small_scenarios.stream_closed_under_a_message), lab, runs=tmp_path)
    finally:
        await lab.down()
    assert result.value == "unknown", result.sentence
    # The device may have noticed before it wrote: then that is what broke the scenario off.
    assert re.search(
        r"a closed (its sender's stream|the stream of alice@a\.test/\w+) with not-well-formed", result.sentence
    )
