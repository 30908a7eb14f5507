"""What people, devices and rooms do, on a Prosody and an ejabberd, in both directions: each run is valid."""

from pathlib import Path

import pytest

from lab.report.folder import write_report
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
    "owner_decides",
    "lost_connections",
    "files",
)


@mostly_processes
@pytest.mark.parametrize("name", SCENARIOS)
async def test_between_two_servers(name: str, lab_on, tmp_path: Path) -> None:
    lab = await lab_on("pair,software=prosody+ejabberd")
    result = await run_scenario(get_info(getattr(contact_scenarios, name)), lab, report=write_report, runs=tmp_path)
    assert result.exit_code == 0, (result.folder / "report.txt").read_text()
