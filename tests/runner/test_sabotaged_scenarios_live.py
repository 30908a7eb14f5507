"""Scenarios of broken networks see what is broken: each fails where what it is about does not hold."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lab.checks.judge import judge
from lab.faults import name_answers
from lab.faults.carbon_forgery import FORGED
from lab.faults.client_interception import InterceptedDevice
from lab.faults.fault import InjectedFault
from lab.federation import Device, Federation, Person, Room, ServerHandle, administration, people
from lab.federation.context import Context
from lab.federation.stanzas import CLIENT, parse
from lab.lifecycle.faults import FaultSession
from lab.runner import load
from lab.runner.judgement import load_record
from lab.runner.run import run_scenario
from tests.clients.naive_devices import believe_every_carbon
from tests.runtimes import PROCESSES

pytestmark = pytest.mark.live

Patch = pytest.MonkeyPatch


async def nothing(*_: Any, **__: Any) -> None:
    """In place of a coroutine that does something."""


def no_fault(patch: Patch) -> None:
    patch.setattr(InjectedFault, "apply", nothing)
    patch.setattr(people, "PING_DEADLINE", 5.0)


def honest_server(patch: Patch) -> None:
    """Nothing is between a device and its server."""
    patch.setattr(InterceptedDevice, "apply", nothing)


UNHEALED: list[FaultSession] = []


@pytest.fixture(autouse=True)
async def healed_afterwards() -> AsyncIterator[None]:
    yield
    while UNHEALED:
        await UNHEALED.pop().close()


def no_healing(patch: Patch) -> None:
    """Faults end with the test only."""

    async def keep(self: InjectedFault, federation: Federation) -> None:
        UNHEALED.append(federation.context.faults.pop(self.token))

    patch.setattr(InjectedFault, "heal", keep)
    patch.setattr(people, "PING_DEADLINE", 5.0)


def no_second_address(patch: Patch) -> None:
    right = name_answers.dns
    patch.setattr(name_answers, "dns", lambda link, how: right(link, how="wrong-srv"))
    patch.setattr(people, "PING_DEADLINE", 5.0)


def refused_instead(patch: Patch) -> None:
    patch.setattr("lab.faults.stream_reset.reset_streams", refuse_streams)
    no_healing(patch)


def refuse_streams(link: Any, how: str) -> InjectedFault:
    from lab.faults import partition

    return partition([link.source], how="refuse")  # type: ignore[return-value]  # what it returns is one


def nobody_leaves(patch: Patch) -> None:
    patch.setattr(Person, "disconnect", nothing)


def nobody_returns(patch: Patch) -> None:
    patch.setattr(Room, "rejoin", nothing)


def every_name_is_free(patch: Patch) -> None:
    register, number = ServerHandle.register, iter(range(9))
    patch.setattr(ServerHandle, "register", lambda self, name: register(self, f"{name}{next(number)}"))


def owners_are_ignored(patch: Patch) -> None:
    """The script says that a domain is refused, and the server does not do it."""

    async def refuse(context: Context, server: str, domain: str, *, refused: bool) -> None:
        (context.changes.refused.add if refused else context.changes.refused.discard)((server, domain))

    patch.setattr(administration, "refuse", refuse)


def posts_are_for_all(patch: Patch) -> None:
    publish = Person.publish
    patch.setattr(Person, "publish", lambda self, text: publish(self, text, access="open"))


def nothing_is_deleted(patch: Patch) -> None:
    patch.setattr(administration, "delete", nothing)


def streams_are_not_resumed(patch: Patch) -> None:
    patch.setattr(Device, "resume", Device.connect)


def keys_go_in_the_clear(patch: Patch) -> None:
    send = Device.send
    patch.setattr(Device, "send", lambda self, to, text, **how: send(self, to, text, **{**how, "encryption": "plain"}))


def removed_devices_stay_listed(patch: Patch) -> None:
    patch.setattr(Device, "remove", Device.disconnect)


def members_stay_members(patch: Patch) -> None:
    affiliation = Room.affiliation

    async def add_only(self: Room, person: Person, word: str, **how: Any) -> None:
        if word != "none":
            await affiliation(self, person, word, **how)

    patch.setattr(Room, "affiliation", add_only)


def rooms_are_never_configured_anew(patch: Patch) -> None:
    patch.setattr(Room, "configure", nothing)


def copies_are_always_made(patch: Patch) -> None:
    send = Device.send
    patch.setattr(Device, "send", lambda self, to, text, **how: send(self, to, text, **{**how, "private": False}))


def everybody_answers(patch: Patch) -> None:
    """The keys move on with each answer: nothing is left for a heartbeat."""
    send = Person.send

    async def answered(self: Person, to: Any, text: str, **more: Any) -> Any:
        message = await send(self, to, text, **more)
        await message.outcome()
        await (await send(to, self, "an answer")).outcome()
        return message

    patch.setattr(Person, "send", answered)


def bundles_stay(patch: Patch) -> None:
    """What the script publishes is not published."""
    iq, ping = Device.iq, "<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>"
    patch.setattr(Device, "iq", lambda self, xml: iq(self, xml if "type='get'" in xml else ping))


def phones_only(patch: Patch) -> None:
    """Everybody else's devices are not what is encrypted for."""
    send = Device.send

    async def to_one(self: Device, to: Any, text: str, **more: Any) -> Any:
        return await send(self, to, text, **more, private=True)

    patch.setattr(Device, "send", to_one)


def requests_are_repeated(patch: Patch) -> None:
    """Every server's errors have what was asked in them."""
    ask = Device.iq

    async def repeated(self: Device, xml: str, **more: Any) -> Any:
        answer = await ask(self, xml, **more)
        if answer.type != "error" or "<pubsub" in answer.xml:
            return answer
        return parse(
            answer.xml.replace("<error ", "<pubsub xmlns='http://jabber.org/protocol/pubsub'/><error "), 0.0, CLIENT
        )

    patch.setattr(Device, "iq", repeated)


def archives_are_not_read(patch: Patch) -> None:
    patch.setattr(Device, "archive", nothing)


def keys_are_not_rotated(patch: Patch) -> None:
    patch.setattr(Device, "rotate_signed_prekey", nothing)


def backups_are_not_restored(patch: Patch) -> None:
    patch.setattr(Device, "restore", nothing)


def second_devices_publish_no_keys(patch: Patch) -> None:
    add_device = Person.add_device

    async def add_without_keys(self: Person, *name: str, **more: Any) -> Device:
        return await add_device(self, *name, **{**more, **({"encryption": "plain"} if name else {})})

    patch.setattr(Person, "add_device", add_without_keys)


def nobody_is_a_member_before_joining(patch: Patch) -> None:
    """There are keys for those who are there."""
    room = ServerHandle.room
    patch.setattr(ServerHandle, "room", lambda self, *given, **more: room(self, *given, **{**more, "members": ()}))


def nobody_speaks_omemo_2(patch: Patch) -> None:
    """There is no envelope that hides receipts."""
    person, spoken = ServerHandle.person, {"encryption": "omemo"}
    patch.setattr(ServerHandle, "person", lambda self, *given, **more: person(self, *given, **{**more, **spoken}))


def the_other_engine_reads_nothing(patch: Patch) -> None:
    connect = Device.connect

    async def connect_without_keys(self: Device) -> None:
        self.encryption = {"omemo-dr": "omemo-keys-lost"}.get(self.encryption, self.encryption)
        await connect(self)

    patch.setattr(Device, "connect", connect_without_keys)


SABOTAGE = {
    "ciphertext_modified": no_fault,
    "messages_reordered": no_fault,
    "omemo_device_withheld": no_fault,
    "omemo_stale_prekey": no_fault,
    "omemo_new_device_mid_chat": second_devices_publish_no_keys,
    "omemo_room_offline_member": nobody_is_a_member_before_joining,
    "receipts_in_the_envelope": nobody_speaks_omemo_2,
    "leak_audit": nobody_speaks_omemo_2,
    "omemo_archive_catch_up": archives_are_not_read,
    "omemo_interoperability": the_other_engine_reads_nothing,
    "omemo_key_exchange_dropped": no_fault,
    "omemo_restored_backup": backups_are_not_restored,
    "omemo_selective_drop": honest_server,
    "omemo_signed_prekey_rotation": keys_are_not_rotated,
    "omemo_heartbeat": everybody_answers,
    "omemo_offline_archive": nobody_leaves,
    "omemo_out_of_order": no_fault,
    "omemo_prekey_race": bundles_stay,
    "omemo_prekeys_run_out": nobody_leaves,
    "omemo_several_devices": phones_only,
    "omemo_too_many_skipped": no_fault,
    "aesgcm_file": keys_go_in_the_clear,
    "omemo_carbons": copies_are_always_made,
    "omemo_device_removed": removed_devices_stay_listed,
    "omemo_room_anonymous_refused": rooms_are_never_configured_anew,
    "omemo_room_membership": members_stay_members,
    "certificate_renewed": no_fault,
    "flapping_link": no_fault,
    "idle_stream_reopens": refused_instead,
    "move_house": nothing_is_deleted,
    "offline_and_back": nobody_leaves,
    "owner_decides": owners_are_ignored,
    "error_repeats_request": requests_are_repeated,
    "own_network": posts_are_for_all,
    "own_server_cheats": honest_server,
    "partition_and_heal": no_fault,
    "resumed_stream_loses_nothing": streams_are_not_resumed,
    "room_host_restarts": nobody_returns,
    "server_frozen": no_fault,
    "server_joins": no_fault,
    "server_killed": no_fault,
    "slow_link": no_fault,
    "split_brain_room": no_fault,
    "srv_failover": no_second_address,
    "three_choices": every_name_is_free,
}


@pytest.mark.parametrize("runtime", [PROCESSES], indirect=True)
@pytest.mark.parametrize(
    "scenario",
    [pytest.param(name, marks=() if name == "partition_and_heal" else pytest.mark.slow) for name in SABOTAGE],
)
async def test_it_fails(scenario: str, lab_on, tmp_path: Path, monkeypatch: Patch) -> None:
    SABOTAGE[scenario](monkeypatch)
    (info,) = load(scenario)
    result = await run_scenario(info, await lab_on("pair,software=prosody+ejabberd"), runs=tmp_path)
    assert result.value == "failed", result.sentence


@pytest.mark.slow
@pytest.mark.parametrize("runtime", [PROCESSES], indirect=True)
@pytest.mark.parametrize("scenario", ["partition_and_heal", "server_frozen", "split_brain_room"])
async def test_it_fails_where_nothing_heals(scenario: str, lab_on, tmp_path: Path, monkeypatch: Patch) -> None:
    no_healing(monkeypatch)
    (info,) = load(scenario)
    result = await run_scenario(info, await lab_on("pair,software=prosody+ejabberd"), runs=tmp_path)
    assert result.value == "failed", result.sentence


@pytest.mark.slow
@pytest.mark.parametrize("runtime", [PROCESSES], indirect=True)
async def test_a_device_that_believes_forged_copies_makes_the_run_fail(
    lab_on, tmp_path: Path, monkeypatch: Patch
) -> None:
    """A naive client is caught by the check, not by the scenario alone: what it shows nobody has sent."""
    believe_every_carbon(monkeypatch)
    (info,) = load("carbon_forged")
    lab = await lab_on("pair,software=prosody+ejabberd")
    result = await run_scenario(info, lab, runs=tmp_path, inline=True)
    assert result.value == "failed", result.sentence
    verdicts = {one.check: one for one in judge(load_record(result.folder)).verdicts}
    assert verdicts["delivery"].value == "failed" and FORGED in str(verdicts["delivery"].findings), result.sentence
