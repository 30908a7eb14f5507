"""Guests and their programs on real servers: what feeds prove is judged, and what they do not is unknown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lab.errors import NotReceived, TimedOut, UserError
from lab.federation import Federation
from lab.history.recorder import Recorder
from lab.lifecycle.lab import Lab
from lab.runner import load
from lab.runner.judgement import load_record
from lab.runner.run import run_scenario
from lab.runner.scenarios import get_info
from tests.federation import guest_scenarios
from tests.runtimes import mostly_processes

pytestmark = pytest.mark.live

LabOn = Callable[[str], Awaitable[Lab]]
MIXED = "pair,software=prosody+ejabberd"
processes_only = pytest.mark.parametrize("runtime", ["processes"], indirect=True, scope="session")


@mostly_processes
async def test_a_guest_and_a_person_write_to_each_other(lab_on: LabOn, tmp_path: Path) -> None:
    result = await run_scenario(get_info(guest_scenarios.guest_and_person), await lab_on("pair"), runs=tmp_path)
    assert result.value == "valid", result.sentence
    assert "1 handed to clients that are not the lab's: what these made of them is not known" in result.sentence
    history = (result.folder / "history.jsonl").read_text()
    assert "python" in history and "XMPPLAB_PASSWORD" not in history


@pytest.mark.slow
@processes_only
@pytest.mark.parametrize(
    "topology", [MIXED, "pair,software=ejabberd+prosody", "pair,software=prosody@0.12+ejabberd@23.01"]
)
@pytest.mark.parametrize("function", [guest_scenarios.guest_and_person, guest_scenarios.guests_are_friends])
async def test_guests_on_other_software(lab_on: LabOn, topology: str, function: object, tmp_path: Path) -> None:
    result = await run_scenario(get_info(function), await lab_on(topology), runs=tmp_path)  # type: ignore[arg-type]
    if function is guest_scenarios.guests_are_friends:  # what was sent to nobody's client
        assert result.value == "unknown", result.sentence
        assert "whether it is lost is not known" in result.sentence
    else:
        assert result.value == "valid", result.sentence


@pytest.mark.slow
@processes_only
async def test_a_guest_who_never_logs_in_fails_the_run_with_one_sentence(lab_on: LabOn, tmp_path: Path) -> None:
    result = await run_scenario(get_info(guest_scenarios.absent_guest), await lab_on("pair"), runs=tmp_path)
    assert result.value == "failed" and "did not log in and become available within 1 s" in result.sentence


@pytest.mark.slow
@processes_only
async def test_a_message_from_go_sendxmpp(lab_on: LabOn, tmp_path: Path) -> None:
    (info,) = load("own_client")
    result = await run_scenario(info, await lab_on(MIXED), runs=tmp_path)
    assert result.value == "valid", result.sentence
    assert [sent.sender.partition("/")[0].partition("@")[2] for sent in load_record(result.folder).foreign.values()]


@pytest.mark.slow
@processes_only
async def test_programs_end_with_their_block_and_their_errors_are_raised(lab_on: LabOn, tmp_path: Path) -> None:
    lab = await lab_on("pair")
    with Recorder(tmp_path / "history.jsonl") as history:
        async with Federation(lab, history) as federation:
            with pytest.raises(UserError, match="no-such-program: not found in PATH"):
                async with federation.process(["no-such-program"]):
                    pytest.fail("it was not started")
            with pytest.raises(UserError, match="a list of texts"):
                federation_process = federation.process("ls")  # type: ignore[arg-type]
                await federation_process.__aenter__()
            async with federation.process(["cat"], stdin="all of it") as cat:
                assert (await cat.wait(), cat.output) == (0, "all of it")
            async with federation.process(
                ["sh", "-c", "echo started; trap '' TERM; exec sleep 600"], home=True
            ) as sleeper:
                with pytest.raises(TimedOut, match="did not end within 1 s"):
                    await sleeper.wait(1)
                sleeper._process.kill()
            assert sleeper.exit_code == -9 and not Path(f"/proc/{sleeper.pid}").exists()
            guest = await federation.servers[0].guest()
            with pytest.raises(NotReceived, match="sent no such message") as missing:
                await guest.sent(within=0.1)
            assert "has not logged in" in str(missing.value)
