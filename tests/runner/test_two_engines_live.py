"""Scenarios of OMEMO with omemo-dr in python-omemo's place, for everybody on one of the two servers."""

from pathlib import Path
from typing import Any

import pytest

from lab.federation import Person, ServerHandle
from lab.runner import load
from lab.runner.run import run_scenario
from tests.runtimes import PROCESSES

pytest.importorskip("omemo_dr", reason="omemo-dr is not installed: make omemo-dr")
pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.parametrize("runtime", [PROCESSES], indirect=True)]

TOPOLOGY = "pair,software=prosody+ejabberd"
#: What both implementations must do alike, with either of them on either side.
ALIKE = (
    "omemo_first_contact", "omemo_carbons", "omemo_several_devices", "omemo_new_device_mid_chat",
    "omemo_device_removed", "omemo_out_of_order", "omemo_one_way", "omemo_stripped", "messages_replayed",
    "omemo_archive_catch_up", "omemo_selective_drop", "omemo_key_exchange_dropped", "omemo_signed_prekey_rotation",
)  # fmt: skip
#: The same, in scenarios in which the people of one server have another version.
ALIKE_ON = (("omemo_room_offline_member", "b"),)
#: What omemo-dr does otherwise, by the scenario and where it is: how the run ends.
OTHERWISE = {
    ("omemo_prekey_race", "b"): "No such one-time key",
    ("omemo_list_push_lost", "b"): "fetches her device list",
    ("omemo_restored_backup", "a"): "what either writes is not read",
    ("omemo_too_many_skipped", "b"): "does not compute a thousand keys",
}


def use_on(server: str, patch: pytest.MonkeyPatch) -> list[Person]:
    """Everybody with python-omemo on this server has omemo-dr; the list of them, as they are made."""
    person, made = ServerHandle.person, list[Person]()

    async def make(self: ServerHandle, *given: Any, **more: Any) -> Person:
        if self.name != server or more.get("encryption") != "omemo":
            return await person(self, *given, **more)
        made.append(await person(self, *given, **{**more, "encryption": "omemo-dr"}))
        return made[-1]

    patch.setattr(ServerHandle, "person", make)
    return made


@pytest.mark.parametrize(("scenario", "server"), [*((one, server) for one in ALIKE for server in "ab"), *ALIKE_ON])
async def test_it_holds(scenario: str, server: str, lab_on, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = use_on(server, monkeypatch)
    (info,) = load(scenario)
    result = await run_scenario(info, await lab_on(TOPOLOGY), runs=tmp_path)
    assert made and result.value == "valid", result.sentence


@pytest.mark.parametrize(("scenario", "server"), OTHERWISE)
async def test_it_differs(scenario: str, server: str, lab_on, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_on(server, monkeypatch)
    (info,) = load(scenario)
    result = await run_scenario(info, await lab_on(TOPOLOGY), runs=tmp_path)
    assert result.value == "failed" and OTHERWISE[scenario, server] in result.sentence, result.sentence
