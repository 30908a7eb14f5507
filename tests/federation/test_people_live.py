"""What people, devices and rooms do, on a Prosody and an ejabberd, in both directions: each run is valid."""

from pathlib import Path

import pytest

from lab.lifecycle.lab import Lab
from lab.report.formats.text import write_report
from lab.runner.run import run_scenario
from lab.runner.scenarios import get_info
from tests.federation import contact_scenarios
from tests.runtimes import mostly_processes

pytestmark = pytest.mark.live

SCENARIOS = (
    "subscriptions",
    "messages_with_more",
    "posts",
    "rooms",
    "registration",
    "lost_connections",
    "files",
)


async def run(name: str, lab: Lab, folder: Path) -> None:
    result = await run_scenario(get_info(getattr(contact_scenarios, name)), lab, report=write_report, runs=folder)
    assert result.exit_code == 0, (result.folder / "report.txt").read_text()


@mostly_processes
@pytest.mark.parametrize("name", SCENARIOS)
async def test_between_two_servers(name: str, lab_on, tmp_path: Path) -> None:
    await run(name, await lab_on("pair,software=prosody+ejabberd"), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [one for one in SCENARIOS if one != "rooms"])
async def test_between_two_older_servers(name: str, lab_on, tmp_path: Path) -> None:
    """Not the rooms: ejabberd 23.01 lets somebody in again who was banned."""
    await run(name, await lab_on("pair,software=prosody@0.12+ejabberd@23.01"), tmp_path)
