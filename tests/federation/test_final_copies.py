"""Archives and device lists are read at the end of a scenario in which a fault acted, and in no other."""

from __future__ import annotations

from typing import Any

import pytest

from lab.checks import Value, convergence
from lab.errors import PeerError
from lab.federation import Federation, Person, agreement, final_copies, markers
from lab.history.events import ArchiveRead, DeviceListRead, DeviceSaw, FaultApplied, FaultHealed, Note
from lab.metrics.record import RunRecord
from tests.federation.conftest import FakeAgent


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markers, "MARKER_DEADLINE", 0.05)
    monkeypatch.setattr(agreement, "DEADLINE", 0.05)
    monkeypatch.setattr(convergence, "WITHIN", 0.05)


async def two_with_omemo(
    federation: Federation, agent: FakeAgent, *, other: str = "omemo", arrives: bool = True
) -> tuple[Person, Person]:
    """Alice has written to bob, who got it; each archive holds it, each list is of one device."""

    def connect(device: str | None, *, jid: str, resource: str, **_: Any) -> dict[str, Any]:
        return {"jid": f"{jid}/{resource}", "stream": "s", "omemo_device": 1}

    agent.answers["connect"] = connect
    alice = await federation.server("island").person(encryption="omemo")
    bob = await federation.server("home").person(encryption=other)
    for one in (alice, bob):
        agent.tell("connected", one.device.key, jid=one.device.jid, stream="s", encryption="omemo")
    message = await alice.send(bob, "hello")
    now, jid = federation.history.now(), alice.device.jid
    federation.history.record(
        DeviceSaw(
            at=now, device=jid, stream="s", direction="out", name="message", type="chat", id=message.id, sender=None,
            receiver=bob.jid, stanza="<message><body>x</body></message>",
        )
    )  # fmt: skip
    if arrives:
        agent.tell(
            "delivered", bob.device.key, message=message.id, via="live", body="hello", stream="s", encrypted=None,
            **{"from": jid},
        )  # fmt: skip
    copy = {"id": message.id, "from": jid, "to": bob.jid, "at": now, "body": "hello", "encrypted": None}
    agent.answers["archive"] = lambda device, **_: {"messages": [copy]}
    agent.answers["devices"] = lambda device, **_: {"ids": [1]}
    return alice, bob


def fault(federation: Federation, *, healed: bool = True) -> None:
    now = federation.history.now()
    federation.history.record(FaultApplied(at=now, number=1, fault="cut", began=now))
    if healed:
        federation.history.record(FaultHealed(at=now, number=1, fault="cut", began=now))


def found(federation: Federation) -> list[tuple[str, ...]]:
    events = federation.history.events
    lists = [(one.reader, one.owner) for one in events if isinstance(one, DeviceListRead)]
    return sorted([(one.archive,) for one in events if isinstance(one, ArchiveRead)] + lists)


async def test_both_archives_and_each_list_by_both_are_read_once_where_they_agree(
    federation: Federation, agent: FakeAgent
) -> None:
    alice, bob = await two_with_omemo(federation, agent)
    fault(federation)
    await federation.settle()
    a, b = alice.device.jid, bob.device.jid
    lists = [(a, alice.jid), (a, bob.jid), (b, alice.jid), (b, bob.jid)]
    assert found(federation) == sorted([(alice.jid,), (bob.jid,), *lists])
    verdict = convergence.check(RunRecord(tuple(federation.history.events), federation.context.lab.plan))
    assert (verdict.value, verdict.judged) == (Value.VALID, 3)


@pytest.mark.parametrize("healed", [None, False], ids=["no fault", "a fault that acts still"])
async def test_nothing_is_read_without_a_fault_or_while_one_acts(
    federation: Federation, agent: FakeAgent, healed: bool | None
) -> None:
    await two_with_omemo(federation, agent)
    if healed is not None:
        fault(federation, healed=healed)
    await federation.settle()
    assert (found(federation), agent.of("archive"), agent.of("devices")) == ([], [], [])


async def test_nothing_is_read_of_those_who_got_no_message_of_each_other(
    federation: Federation, agent: FakeAgent
) -> None:
    await two_with_omemo(federation, agent, arrives=False)
    fault(federation)
    await federation.settle()
    assert found(federation) == []


async def test_one_who_is_away_leaves_nothing_to_compare(federation: Federation, agent: FakeAgent) -> None:
    _, bob = await two_with_omemo(federation, agent)
    await bob.disconnect()
    fault(federation)
    await federation.settle()
    assert found(federation) == []


async def test_lists_of_another_version_of_omemo_are_not_compared(federation: Federation, agent: FakeAgent) -> None:
    alice, bob = await two_with_omemo(federation, agent, other="omemo+omemo:2")
    fault(federation)
    await federation.settle()
    assert found(federation) == [(alice.jid,), (bob.jid,)]


async def test_they_are_read_again_until_they_agree(
    federation: Federation, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "DEADLINE", 30.0)
    _, bob = await two_with_omemo(federation, agent)
    fault(federation)
    whole = agent.answers["archive"]

    def late(device: str | None, **fields: Any) -> dict[str, Any] | None:
        first = device == bob.device.key and len(agent.of("archive")) <= 2
        return {"messages": []} if first else whole(device, **fields)

    agent.answers["archive"] = late
    await federation.settle()
    assert [jid for (jid, *rest) in found(federation) if not rest].count(bob.jid) == 2


async def test_an_archive_that_cannot_be_read_is_noted(federation: Federation, agent: FakeAgent) -> None:
    def refuse(device: str | None, **_: Any) -> None:
        raise PeerError("the archive refuses")

    await two_with_omemo(federation, agent)
    agent.answers["archive"] = refuse
    fault(federation)
    await federation.settle()
    notes = [one.text for one in federation.history.events if isinstance(one, Note)]
    assert notes.count("not read at the end: the archive refuses") == 2


@pytest.mark.parametrize(("limit", "what"), [("MOST_MESSAGES", "archives are"), ("MOST_LISTS", "device lists are")])
async def test_too_many_are_not_read_and_a_note_says_so(
    federation: Federation, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch, limit: str, what: str
) -> None:
    monkeypatch.setattr(final_copies, limit, 0)
    await two_with_omemo(federation, agent)
    fault(federation)
    await federation.settle()
    assert [len(one) == 1 for one in found(federation)] == ([False] * 4 if limit == "MOST_MESSAGES" else [True] * 2)
    notes = [one.text for one in federation.history.events if isinstance(one, Note)]
    assert sum(one.startswith(f"{what} not compared: there are more than 0") for one in notes) == 1
