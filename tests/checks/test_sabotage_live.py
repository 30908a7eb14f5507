"""Break the network on purpose: each check sees it, on real servers, and names the message."""

from pathlib import Path

import pytest

from lab.checks.judge import judge
from lab.clients.device import ClientDevice
from lab.clients.encryption import envelope, omemo, omemo2, otr
from lab.history.events import Sent
from lab.lifecycle.runtimes import choose
from lab.lifecycle.up import up
from lab.runner import load as load_scenario
from lab.runner.judgement import load_record
from lab.runner.run import run_scenario
from lab.runner.scenarios import get_info
from lab.topology.files import load
from tests.checks.sabotage import Tampered, load_module
from tests.checks.sabotage.leaky import LeakyOmemo2Strategy, LeakyOtrStrategy, LeakyStrategy
from tests.runner import small_scenarios
from tests.runtimes import mostly_processes

pytestmark = pytest.mark.live


def second_message(folder: Path) -> str:
    sent = [event.message for event in load_record(folder).of(Sent) if not event.marker]
    return sent[1]


async def run_tampered(mode: str, runs: Path, story=small_scenarios.three_in_a_row, runtime: str = "processes"):
    tampered = Tampered(choose(runtime), load_module(mode))
    lab = await up(load("pair"), runtime=tampered, owned=True)
    try:
        return await run_scenario(get_info(story), lab, runs=runs)
    finally:
        await lab.down()


@pytest.mark.parametrize(
    ("mode", "says"),
    [("drop", "lost"), ("repeat", "delivered 2 times"), ("reorder", "before")],
)
async def test_a_server_that_treats_messages_badly_is_found_out(mode, says, tmp_path: Path) -> None:
    result = await run_tampered(mode, tmp_path)
    assert result.value == "failed", result.sentence
    assert result.exit_code == 1
    assert second_message(result.folder) in result.sentence
    assert says in result.sentence


async def test_what_a_persons_own_client_sent_is_found_lost(tmp_path: Path) -> None:
    result = await run_tampered("drop", tmp_path, small_scenarios.two_from_another_client_of_hers)
    assert result.value == "failed", result.sentence
    assert "Message own-2 from alice@a.test to bob@b.test" in result.sentence
    assert "is lost: a marker sent after it reached bob@b.test" in result.sentence


@mostly_processes
async def test_the_same_server_left_alone_is_valid(lab_on, tmp_path: Path) -> None:
    """The sabotage tests judge the sabotage, not the story."""
    result = await run_scenario(get_info(small_scenarios.three_in_a_row), await lab_on("pair"), runs=tmp_path)
    assert result.value == "valid", result.sentence


@pytest.mark.parametrize(
    ("module", "leaky", "scenario"),
    [
        (omemo, LeakyStrategy, small_scenarios.one_secret),
        pytest.param(omemo2, LeakyOmemo2Strategy, small_scenarios.one_secret_in_omemo2, marks=pytest.mark.slow),
        pytest.param(otr, LeakyOtrStrategy, small_scenarios.one_secret_in_otr, marks=pytest.mark.slow),
        pytest.param(omemo, LeakyStrategy, small_scenarios.a_member_is_away, marks=pytest.mark.slow),
    ],
    ids=["omemo", "omemo:2", "otr", "omemo in a room"],
)
async def test_a_device_that_says_it_in_plain_beside_the_ciphertext(
    monkeypatch, tmp_path: Path, module, leaky, scenario
) -> None:
    monkeypatch.setattr(module, "STRATEGY", leaky)
    lab = await up(load("pair"), runtime="processes", owned=True)
    try:
        result = await run_scenario(get_info(scenario), lab, runs=tmp_path, inline=True)
    finally:
        await lab.down()
    (message,) = (event.message for event in load_record(result.folder).of(Sent) if not event.marker)
    assert result.value == "failed", result.sentence
    assert message in result.sentence
    assert "beside the ciphertext" in result.sentence


@pytest.mark.slow
async def test_a_device_that_puts_the_text_alone_into_the_envelope(monkeypatch, tmp_path: Path) -> None:
    body = "{jabber:client}body"
    monkeypatch.setattr(envelope, "find_content", lambda message: [one for one in message if one.tag == body])
    (info,) = load_scenario("receipts_in_the_envelope")
    lab = await up(load("pair"), runtime="processes", owned=True)
    try:
        result = await run_scenario(info, lab, runs=tmp_path, inline=True)
    finally:
        await lab.down()
    assert result.value == "failed", result.sentence
    assert "was not acknowledged" in result.sentence  # what is outside of an envelope does not count


@pytest.mark.slow
async def test_a_device_that_forgets_who_is_away_in_a_room(monkeypatch, tmp_path: Path) -> None:
    """It encrypts for those who are there: what the scenario expects of keys is left out, the check sees it."""

    async def those_present(self, session, to, room):
        occupants = self._room(session, to).occupants.values()
        return frozenset(occupants) - {session.stream.boundjid.bare}

    monkeypatch.setattr(ClientDevice, "_people", those_present)
    lab = await up(load("pair"), runtime="processes", owned=True)
    try:
        story = get_info(small_scenarios.a_member_is_away)
        result = await run_scenario(story, lab, runs=tmp_path, inline=True)
    finally:
        await lab.down()
    assert result.value == "failed", result.sentence
    assert "there is no key for carol@b.test, who is in the room or a member of it" in result.sentence


@mostly_processes
async def test_a_run_in_which_nothing_happened_is_unknown(lab_on, tmp_path: Path) -> None:
    result = await run_scenario(get_info(small_scenarios.nobody_speaks), await lab_on("pair"), runs=tmp_path)
    assert (result.value, result.exit_code) == ("unknown", 2)
    assert "Nothing was judged" in result.sentence


@mostly_processes
async def test_a_check_that_crashes_is_unknown_and_the_others_are_heard(lab_on, tmp_path: Path) -> None:
    result = await run_scenario(get_info(small_scenarios.three_in_a_row), await lab_on("pair"), runs=tmp_path)

    def crash(record):
        raise RuntimeError("out of order")

    judgement = judge(load_record(result.folder), {"crash": crash})
    assert judgement.value == "unknown"
    assert "crashed: RuntimeError: out of order" in judgement.sentence
