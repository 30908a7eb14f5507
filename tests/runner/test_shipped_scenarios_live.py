"""The lab's own scenarios, on real servers of both kinds, over both runtimes: each run is valid."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.checks.judge import judge
from lab.federation import collection
from lab.federation.peers import Peer
from lab.federation.servers import ServerHandle
from lab.history.events import Bounced, Searched
from lab.history.key_events import LinkSearched
from lab.history.reader import read
from lab.report.formats.text import write_report
from lab.runner import load
from lab.runner.judgement import load_record
from lab.runner.run import run_scenario
from lab.runner.scenarios import get_info
from lab.testing.session_labs import SessionLabs
from tests.runner import small_scenarios
from tests.runtimes import CONTAINERS, PROCESSES, SLOW_CONTAINERS, mostly_processes

pytestmark = pytest.mark.live

OLD_PEER = """
defaults: {authentication: either}
servers: {near: {software: prosody@0.12}, far: {software: ejabberd@23.01}, peer: {software: scripted}}
links: [{between: [near, peer]}, {between: [far, peer]}]
"""

# Both directions of a mixed link; a graph with a missing edge; the ways of promising that edge that are told at once.
CASES = [
    ("everyone_writes", "line:3,software=prosody+ejabberd", CONTAINERS),
    ("omemo_first_contact", "pair,software=prosody+ejabberd", CONTAINERS),
    ("omemo2_first_contact", "pair,software=prosody+ejabberd", SLOW_CONTAINERS),
    ("omemo_version_mix", "pair,software=ejabberd+prosody", SLOW_CONTAINERS),
    ("omemo_room_offline_member", "pair,software=prosody+ejabberd", SLOW_CONTAINERS),
    ("omemo_one_way", "pair,software=prosody+ejabberd", SLOW_CONTAINERS),
    ("otr_session", "pair,software=prosody+ejabberd", SLOW_CONTAINERS),
    ("otr_limits", "pair,software=ejabberd+prosody", SLOW_CONTAINERS),
    ("bad_certificate", "bad_certificates", SLOW_CONTAINERS),
    ("scripted_peer", "scripted_peer", CONTAINERS),
    ("subscription_interrupted", "pair,software=prosody+ejabberd", SLOW_CONTAINERS),
    ("unencrypted_peer_refused", "unencrypted_peer", SLOW_CONTAINERS),
    ("unsolicited_dialback_ignored", "dialback_peer", SLOW_CONTAINERS),
    ("false_dialback_key_refused", "dialback_peer", SLOW_CONTAINERS),
    ("one_bad_stanza", "dialback_peer", SLOW_CONTAINERS),
    ("everyone_writes", "versions", SLOW_CONTAINERS),
    ("everyone_writes", "hidden_island", SLOW_CONTAINERS),
    ("everyone_writes", "nowhere_refused", SLOW_CONTAINERS),
    ("omemo_first_contact", "pair,software=ejabberd+prosody", SLOW_CONTAINERS),
    ("omemo_several_devices", "pair,software=prosody+ejabberd", SLOW_CONTAINERS),
    ("plaintext_is_seen", "pair,software=prosody+ejabberd", SLOW_CONTAINERS),
    ("partition_and_heal", "pair,software=prosody+ejabberd", SLOW_CONTAINERS),
]

# Each with either software in either place, and those of rooms and partitions among more servers.
PAIRS = ("pair,software=prosody+ejabberd", "pair,software=ejabberd+prosody")
MORE = ("star:4,software=prosody+ejabberd", "ring:4,software=ejabberd+prosody")
SLOW = {
    "aesgcm_file": PAIRS,
    "carbon_forged": PAIRS,
    "certificate_renewed": PAIRS,
    "ciphertext_modified": PAIRS,
    "encryption_downgraded": PAIRS,
    "flapping_link": PAIRS,
    "idle_stream_reopens": PAIRS,
    "leak_audit": PAIRS,
    "messages_reordered": PAIRS,
    "messages_replayed": PAIRS,
    "messages_vanish": PAIRS,
    "move_house": PAIRS,
    "offline_and_back": PAIRS,
    "owner_decides": (*PAIRS, "pair,software=prosody@0.12+ejabberd@23.01"),
    "omemo_cheating_home": PAIRS,
    "omemo2_first_contact": PAIRS[1:],
    "omemo_list_push_lost": PAIRS,
    "omemo_one_way": PAIRS[1:],
    "omemo_precondition_repair": PAIRS,
    "omemo_phantom_device": PAIRS,
    "omemo_archive_catch_up": PAIRS,
    "omemo_carbons": PAIRS,
    "receipts_in_the_envelope": PAIRS,
    "omemo_device_removed": PAIRS,
    "omemo_device_withheld": PAIRS,
    "omemo_new_device_mid_chat": PAIRS,
    "omemo_room_anonymous_refused": PAIRS,
    "omemo_room_membership": PAIRS,
    "omemo_room_offline_member": PAIRS[1:],
    "omemo_heartbeat": PAIRS,
    "omemo_key_exchange_dropped": PAIRS,
    "omemo_offline_archive": PAIRS,
    "omemo_out_of_order": PAIRS,
    "omemo_prekey_race": PAIRS,
    "omemo_prekeys_run_out": PAIRS,
    "omemo_restored_backup": PAIRS,
    "omemo_selective_drop": PAIRS,
    "omemo_signed_prekey_rotation": PAIRS,
    "omemo_stale_prekey": PAIRS,
    "omemo_stripped": PAIRS,
    "omemo_too_many_skipped": PAIRS[1:],
    "omemo_version_mix": PAIRS[:1],
    "error_repeats_request": (*PAIRS, "pair,software=prosody@0.12+ejabberd@23.01"),
    "own_network": PAIRS,
    "own_server_cheats": PAIRS,
    "partition_and_heal": (*PAIRS[1:], *MORE),
    "resumed_stream_loses_nothing": PAIRS,
    "room_host_restarts": (*PAIRS, *MORE),
    "server_frozen": PAIRS,
    "server_joins": PAIRS,
    "server_killed": (*PAIRS, "pair,software=ejabberd"),
    "slow_link": PAIRS,
    "split_brain_room": (*PAIRS, *MORE),
    "srv_failover": PAIRS,
    "stanza_too_big": ("stanza_limits",),
    "three_choices": PAIRS,
    "what_remains_visible": PAIRS,
}

#: Other versions of what is above; and what servers must come to by their policies, whatever runs them.
SLOW_CASES = [
    ("bounces", "bounces"),
    ("can_we_encrypt", "encryption-policies"),
    ("omemo_contacts_only", "encryption-policies"),
    ("omemo_contacts_only", "pair,software=prosody@0.12+ejabberd@23.01,features=-open-pep"),
    ("omemo_first_contact", "pair,software=prosody@0.12+ejabberd@23.01"),
    ("omemo2_first_contact", "pair,software=prosody@0.12+ejabberd@23.01"),
    ("omemo_room_offline_member", "pair,software=prosody@0.12+ejabberd@23.01"),
    ("omemo_room_membership", "pair,software=prosody@0.12+ejabberd@23.01"),
    ("omemo_room_membership", "pair,software=ejabberd@23.01+prosody@0.12"),
    ("one_bad_stanza", OLD_PEER),
    ("unsolicited_dialback_ignored", OLD_PEER),
    ("false_dialback_key_refused", OLD_PEER),
]


@pytest.mark.slow
@pytest.mark.parametrize("runtime", [PROCESSES, CONTAINERS], indirect=True, scope="session")
@pytest.mark.parametrize(("scenario", "topology"), SLOW_CASES)
async def test_a_run_of_other_versions_or_policies_is_valid(scenario, topology, lab_on, tmp_path: Path) -> None:
    if topology == OLD_PEER:
        topology = str(tmp_path / "old-peer.yaml")
        Path(topology).write_text(OLD_PEER)
    (info,) = load(scenario)
    result = await run_scenario(info, await lab_on(topology), runs=tmp_path)
    assert result.exit_code == 0, (result.folder / "report.txt").read_text()


@pytest.mark.parametrize(
    ("scenario", "topology", "runtime"),
    [
        pytest.param(scenario, topology, *one.values, marks=one.marks, id=f"{one.values[0]}-{scenario} {topology}")
        for scenario, topology, containers in CASES
        for one in (pytest.param(PROCESSES), containers)
    ],
    indirect=["runtime"],
)
async def test_a_run_is_valid(scenario, topology, lab_on, tmp_path: Path) -> None:
    (info,) = load(scenario)
    result = await run_scenario(info, await lab_on(topology), runs=tmp_path)
    assert result.exit_code == 0, (result.folder / "report.txt").read_text()
    again = judge(load_record(result.folder))
    assert again.value == result.value == "valid"


@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "topology"), [(one, topology) for one in SLOW for topology in SLOW[one]])
async def test_a_run_of_many_is_valid(scenario, topology, lab_on, tmp_path: Path) -> None:
    (info,) = load(scenario)
    result = await run_scenario(info, await lab_on(topology), runs=tmp_path)
    assert result.value == "valid", result.sentence


@pytest.mark.slow
@pytest.mark.parametrize("topology", PAIRS)
async def test_two_implementations_of_omemo_read_each_other(topology, runtime: str, lab_on, tmp_path: Path) -> None:
    if runtime == PROCESSES:
        pytest.importorskip("omemo_dr", reason="omemo-dr is not installed: make omemo-dr")
    (info,) = load("omemo_interoperability")
    result = await run_scenario(info, await lab_on(topology), runs=tmp_path)
    assert result.value == "valid", result.sentence


@pytest.mark.slow
async def test_a_missing_edge_that_never_answers(tmp_path: Path) -> None:
    """On one runtime: it is told after 20 seconds."""
    labs = SessionLabs("processes")
    try:
        (info,) = load("everyone_writes")
        result = await run_scenario(info, await labs.get("nowhere_unreachable"), runs=tmp_path)
    finally:
        await labs.close()
    assert result.exit_code == 0, (result.folder / "report.txt").read_text()
    assert any(one.condition for one in read(result.folder / "history.jsonl") if isinstance(one, Bounced))


@pytest.mark.slow
@mostly_processes
@pytest.mark.parametrize("software", ["prosody@13.0", "ejabberd@24.12"])
async def test_a_withdrawal_that_nobody_repeats(software: str, lab_on, tmp_path: Path) -> None:
    (info,) = load("subscription_withdrawn")
    result = await run_scenario(info, await lab_on(f"pair,software={software}"), runs=tmp_path)
    assert result.value == "valid", (result.folder / "report.txt").read_text()
    assert result.sentence.startswith(f"on {software}: roster is failed, as it should be")


@pytest.mark.slow
@mostly_processes
async def test_what_ejabberd_gets_wrong_is_known_and_would_fail_otherwise(lab_on, tmp_path: Path) -> None:
    """It does not repeat a request: valid as the scenario expects it, failed where nothing is expected."""
    (info,) = load("subscription_interrupted")
    lab = await lab_on("pair,software=ejabberd+prosody")
    result = await run_scenario(info, lab, runs=tmp_path)
    assert result.value == "valid", (result.folder / "report.txt").read_text()
    assert result.sentence.startswith("on ejabberd@24.12: roster is failed, as it should be: Rosters disagree (a - b)")
    record = load_record(result.folder)
    strict = replace(record, events=(replace(record.started, expects=()), *record.events[1:]))
    judgement = judge(strict)
    assert judgement.value == "failed" and "a did not repeat" in judgement.sentence


@mostly_processes
@pytest.mark.parametrize("topology", ["pair,software=prosody+ejabberd", "pair,software=ejabberd+prosody"])
async def test_a_room_across_servers(topology, lab_on, tmp_path: Path) -> None:
    """The room's host is of either kind, and everybody else is on the other."""
    info, lab = get_info(small_scenarios.a_room_of_all), await lab_on(topology)
    result = await run_scenario(info, lab, report=write_report, runs=tmp_path)
    assert result.exit_code == 0, (result.folder / "report.txt").read_text()
    assert "1 room: the lists of" in result.sentence


@mostly_processes
async def test_nobody_waits_for_ejabberd_to_write_its_archive(
    lab_on, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself it does so after three seconds: asked to, it has done so when it answers."""
    monkeypatch.setattr(collection, "CONTROL_DEADLINE", 0.0)
    lab = await lab_on("pair,software=ejabberd+prosody")
    events = read((await run_scenario(get_info(small_scenarios.one_way), lab, runs=tmp_path)).folder / "history.jsonl")
    (searched,) = (one for one in events if isinstance(one, Searched) and (one.server, one.place) == ("a", "archive"))
    assert searched.control


@pytest.mark.parametrize("software", ["prosody+ejabberd", pytest.param("ejabberd+prosody", marks=pytest.mark.slow)])
async def test_what_another_client_of_hers_sends_counts_as_hers(software: str, lab_on, tmp_path: Path) -> None:
    lab = await lab_on(f"pair,software={software}")
    result = await run_scenario(get_info(small_scenarios.another_client_of_hers), lab, runs=tmp_path)
    assert result.value == "valid", result.sentence
    assert "3 messages: 2 delivered once" in result.sentence and "1 bounced" in result.sentence
    record = load_record(result.folder)
    assert sorted(one.message for one in record.foreign.values()) == ["own-1", "own-2"]
    assert {one.sender.rpartition("/")[2] for one in record.foreign.values()} == {"other"}


#: How a scenario of a scripted server is made to fail: what the script says of its streams is changed behind its back.
SABOTAGE: dict[str, tuple[str, dict[str | None, str], str]] = {
    "unsolicited_dialback_ignored": ("authentication", {"none": "dialback"}, "forged-far"),
    "false_dialback_key_refused": ("verifies", {None: "valid"}, "false"),
}


@pytest.mark.parametrize("runtime", [PROCESSES], indirect=True)
@pytest.mark.parametrize("scenario", SABOTAGE)
async def test_a_peer_that_is_believed_makes_the_run_fail(
    scenario: str, lab_on, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    field, words, said = SABOTAGE[scenario]
    negotiate = Peer.negotiate

    async def negotiate_otherwise(self: Peer, **how: Any) -> None:
        await negotiate(self, **{**how, field: words.get(how.get(field), how.get(field))})

    monkeypatch.setattr(Peer, "negotiate", negotiate_otherwise)
    (info,) = load(scenario)
    result = await run_scenario(info, await lab_on("dialback_peer"), runs=tmp_path)
    assert result.value == "failed" and said in result.sentence.lower(), result.sentence


@pytest.mark.parametrize("kind", ["prosody", pytest.param("ejabberd", marks=pytest.mark.slow)])
async def test_a_server_that_allows_plaintext_makes_the_run_fail(kind: str, tmp_path: Path) -> None:
    topology = tmp_path / "lenient.yaml"
    topology.write_text(
        f"""
        defaults: {{tls: optional, authentication: dialback}}
        servers: {{home: {{software: {kind}}}, peer: {{software: scripted, tls: off}}}}
        links: [{{between: [home, peer], comes_up: false}}]
        """
    )
    labs = SessionLabs(PROCESSES)
    try:
        (info,) = load("unencrypted_peer_refused")
        result = await run_scenario(info, await labs.get(str(topology)), runs=tmp_path)
    finally:
        await labs.close()
    assert result.value == "failed" and "policy-violation" in result.sentence, result.sentence


PLAINTEXT = """
defaults: {tls: "off", authentication: dialback}
servers: {a: {software: prosody}, b: {software: ejabberd}}
links: [{between: [a, b]}]
"""


@pytest.mark.slow
async def test_a_link_without_tls_shows_what_is_not_encrypted_and_the_control_text(tmp_path: Path) -> None:
    (tmp_path / "plaintext.yaml").write_text(PLAINTEXT)
    labs = SessionLabs(PROCESSES)
    try:
        lab = await labs.get(str(tmp_path / "plaintext.yaml"))
        results = [
            await run_scenario(load(one)[0], lab, runs=tmp_path) for one in ("omemo_carbons", "plaintext_is_seen")
        ]
    finally:
        await labs.close()
    assert [one.value for one in results] == ["valid", "valid"]
    assert "Whoever sees the link a - b can read the secret" in results[1].sentence
    for result in results:
        searched = [one for one in read(result.folder / "history.jsonl") if isinstance(one, LinkSearched)]
        assert any(one.control for one in searched)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", [PROCESSES], indirect=True)
async def test_a_stanza_that_is_not_too_big_makes_the_run_fail(
    lab_on, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scenario expects a loss: where the limit is not what it says, nothing is lost."""
    lab = await lab_on("stanza_limits")
    for server in lab.plan.servers:
        if server.spec.max_stanza_size:
            monkeypatch.setitem(vars(server.spec), "max_stanza_size", 1000)
    (info,) = load("stanza_too_big")
    result = await run_scenario(info, lab, runs=tmp_path)
    assert result.value == "failed" and "should be failed and is valid" in result.sentence, result.sentence


@pytest.mark.parametrize("runtime", [PROCESSES], indirect=True)
async def test_xml_that_is_not_broken_makes_the_run_fail(
    lab_on, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = Peer.raw

    async def write_repaired(self: Peer, to: ServerHandle, data: str) -> None:
        await raw(self, to, data.replace("</iq>", "</message>"))

    monkeypatch.setattr(Peer, "raw", write_repaired)
    (info,) = load("one_bad_stanza")
    result = await run_scenario(info, await lab_on("dialback_peer"), runs=tmp_path)
    assert result.value == "failed" and "broken XML" in result.sentence, result.sentence
