"""Devices that cannot read what is encrypted, between real servers: the verdict names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.runner.run import run_scenario
from lab.runner.scenarios import get_info
from tests.runner import small_scenarios
from tests.runtimes import PROCESSES

pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    pytest.mark.parametrize("runtime", [PROCESSES], indirect=True, scope="session"),
]


@pytest.mark.parametrize(
    ("function", "value", "said"),
    [
        (small_scenarios.one_of_two_devices, "valid", "1 message read as it was sent"),
        (small_scenarios.the_wrong_device, "failed", "which announces no encryption, got it and cannot read it"),
        (small_scenarios.keys_are_lost, "failed", "has published keys and lost the private ones: it cannot decrypt"),
    ],
)
async def test_the_verdict_names_the_device_that_cannot_read_it(function, value, said, lab_on, tmp_path: Path) -> None:
    result = await run_scenario(get_info(function), await lab_on("pair,software=prosody+ejabberd"), runs=tmp_path)
    assert (result.value, said in result.sentence) == (value, True), result.sentence
