"""Attacks on real links: they do what they say, on streams that the servers have authenticated as ever."""

from pathlib import Path

import pytest

from lab.checks.judge import judge
from lab.history.events import Connected, Delivered, Intervened, Sent, ServerStreamOpened
from lab.runner.judgement import load_record
from lab.runner.run import run_scenario
from lab.runner.scenarios import get_info
from tests.runner import small_scenarios
from tests.runtimes import CONTAINERS, PROCESSES

pytestmark = pytest.mark.live


@pytest.mark.parametrize("runtime", [PROCESSES], indirect=True)
@pytest.mark.parametrize(
    "topology",
    [
        "pair,software=prosody+ejabberd",
        pytest.param("pair,software=ejabberd+prosody", marks=pytest.mark.slow),
        pytest.param("pair,software=prosody", marks=pytest.mark.slow),
        pytest.param("pair,software=ejabberd", marks=pytest.mark.slow),
    ],
)
async def test_a_changed_text_fails_integrity_and_nothing_else(topology, lab_on, tmp_path: Path) -> None:
    result = await run_scenario(get_info(small_scenarios.another_text), await lab_on(topology), runs=tmp_path)
    record = load_record(result.folder)
    (changed,) = record.of(Intervened)
    assert (changed.action, changed.source, changed.target) == ("replace", "a", "b")
    assert result.value == "failed" and changed.id in result.sentence, result.sentence
    verdicts = {one.check: one.value for one in judge(record).verdicts}
    assert [name for name, value in verdicts.items() if value == "failed"] == ["integrity"], result.sentence
    # The lab may have been attacked before: streams stay when an attack is healed, and are in the history as well.
    opened = [one for one in record.of(ServerStreamOpened) if one.stream == "s2s"]
    assert {(one.authentication.upper(), one.tls.startswith("TLS")) for one in opened} == {("EXTERNAL", True)}


@pytest.mark.parametrize("runtime", [PROCESSES], indirect=True)
@pytest.mark.parametrize(
    ("told", "action"),
    [
        (small_scenarios.second_overtakes, "reorder"),
        pytest.param(small_scenarios.first_is_late, "delay", marks=pytest.mark.slow),
    ],
)
async def test_the_second_message_arrives_first(told, action, lab_on, tmp_path: Path) -> None:
    result = await run_scenario(get_info(told), await lab_on("pair,software=prosody+ejabberd"), runs=tmp_path)
    record = load_record(result.folder)
    first, second = [one for one in record.of(Sent) if not one.marker]
    delivered = {one.message: one.at for one in record.of(Delivered)}
    assert delivered[second.message] < delivered[first.message]
    if action == "delay":
        assert delivered[first.message] - first.at >= small_scenarios.LATE
    assert {one.action for one in record.of(Intervened)} == {action}
    assert result.value == "failed", result.sentence
    assert f"{second.message} from {first.sender.partition('/')[0]} overtook {first.message}" in result.sentence
    assert f"Likely cause: intercept acted on it between a and b ({action})." in result.sentence


@pytest.mark.slow
@pytest.mark.parametrize("runtime", [PROCESSES], indirect=True)
@pytest.mark.parametrize("topology", ["pair,software=prosody+ejabberd", "pair,software=ejabberd+prosody"])
@pytest.mark.parametrize(
    "told",
    [
        small_scenarios.read_both_ways,
        small_scenarios.read_both_ways_2,
        small_scenarios.read_both_ways_otr,
    ],
)
async def test_a_server_that_swaps_keys_reads_both_ways(told, topology, lab_on, tmp_path: Path) -> None:
    result = await run_scenario(get_info(told), await lab_on(topology), runs=tmp_path)
    assert result.value == "valid", result.sentence


@pytest.mark.slow
@pytest.mark.parametrize("runtime", [PROCESSES, CONTAINERS], indirect=True, scope="session")
@pytest.mark.parametrize("topology", ["pair,software=prosody+ejabberd", "pair,software=ejabberd+prosody"])
async def test_a_certificate_that_expires_under_attack_is_refused(topology, lab_on, tmp_path: Path) -> None:
    """Verdicts on certificates stay the servers' own: the relay shows those that they have by now."""
    result = await run_scenario(get_info(small_scenarios.expired_under_attack), await lab_on(topology), runs=tmp_path)
    assert result.how == "finished", result.sentence


@pytest.mark.slow
@pytest.mark.parametrize("runtime", [PROCESSES, CONTAINERS], indirect=True, scope="session")
@pytest.mark.parametrize("topology", ["pair,software=prosody+ejabberd", "pair,software=ejabberd+prosody"])
async def test_a_client_behind_a_cheating_server_resumes_its_stream(topology, lab_on, tmp_path: Path) -> None:
    result = await run_scenario(get_info(small_scenarios.resumed_behind_a_cheat), await lab_on(topology), runs=tmp_path)
    record = load_record(result.folder)
    verdicts = {one.check: one.value for one in judge(record).verdicts}
    # What vanished is missing, and behind a connection that was lost order proves no loss.
    assert (result.value, verdicts["delivery"], verdicts["expectations"]) == ("unknown", "unknown", "valid"), (
        result.sentence
    )
    assert "failed" not in verdicts.values(), result.sentence
    (alice,) = {one.device for one in record.of(Connected) if one.device.startswith("alice")}
    assert {(one.source, one.target) for one in record.of(Intervened)} == {(alice, "a"), ("a", alice)}
    assert f"drop-stanzas acted on it between {alice} and a (drop)" in result.sentence


@pytest.mark.slow
@pytest.mark.parametrize("runtime", [PROCESSES, CONTAINERS], indirect=True, scope="session")
@pytest.mark.parametrize("topology", ["pair,software=prosody+ejabberd", "pair,software=ejabberd+prosody"])
@pytest.mark.parametrize(
    "told",
    [
        small_scenarios.changed_at_home,
        small_scenarios.replayed_at_home,
        small_scenarios.stripped_at_home,
        small_scenarios.downgraded_at_home,
        small_scenarios.nothing_offered_at_home,
    ],
)
async def test_a_cheating_server_attacks_each_encryption(told, topology, lab_on, tmp_path: Path) -> None:
    result = await run_scenario(get_info(told), await lab_on(topology), runs=tmp_path)
    record = load_record(result.folder)
    # Behind a device that has logged in again order proves no loss: delivery may be unknown where something vanishes.
    values = {one.check: one.value for one in judge(record).verdicts}
    assert (result.how, values.pop("expectations")) == ("finished", "valid"), result.sentence
    failed = {name for name, value in values.items() if value == "failed"}
    assert failed <= {name for name, *_ in record.started.expects}, result.sentence
    acted = {(one.source, one.target) for one in record.of(Intervened)}
    assert acted and all("a" in way and any(end.startswith("alice") for end in way) for way in acted)
