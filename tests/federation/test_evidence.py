"""Evidence is read while a scenario runs: all that is judged, so much of the rest, and what is cut is said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.errors import PeerError
from lab.federation import Federation, evidence
from lab.federation.evidence import record_server_states
from lab.history.events import (
    DnsAnswered,
    Intervened,
    Note,
    ServerEnded,
    ServerLogged,
    ServerSaw,
    ServerStarted,
    ServerStreamOpened,
)
from lab.history.recorder import Recorder
from lab.plan.layout import Layout
from lab.runtime.protocol import ServerState
from tests.checks.sample_history import plan
from tests.network.test_feeds import line, stream


def logged(text: str) -> bytes:
    return json.dumps({"at": 1.0, "event": "logged", "level": "error", "text": text}).encode() + b"\n"


class FakeControl:
    """A service whose name server has answered so many questions."""

    def __init__(self) -> None:
        self.log = [self.query(1)]
        self.interventions: list[dict[str, Any]] = []
        self.last_intervention = 0

    @staticmethod
    def query(number: int) -> dict[str, Any]:
        return {
            "number": number, "at": 1.0, "asker": "home", "name": "x.test", "type": "SRV", "rcode": "NOERROR",
            "records": [["SRV", "0 0 5269 127.80.0.1."]],
        }  # fmt: skip

    async def __aenter__(self) -> FakeControl:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def call(self, op: str, since: int = 0, limit: int = 1000) -> dict[str, Any]:
        if op == "interventions":
            found = [one for one in self.interventions if one["number"] > since]
            return {"interventions": found, "last": self.last_intervention}
        found = [one for one in self.log if one["number"] > since]
        return {"queries": found[-limit:], "last": self.log[-1]["number"]}


def intervention(number: int) -> dict[str, Any]:
    return {
        "number": number, "at": 1.0, "attack": "replay", "action": "repeat", "source": "home", "target": "public",
        "name": "message", "id": "m1", "sender": "a@home.test/x", "receiver": "b@public.test", "stanza": "<message/>",
    }  # fmt: skip


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    path = Layout(tmp_path / "lab").server("home") / "feed.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(line(id="before the run") + stream("stream-opened", id="open"))
    return path


@pytest.fixture
def control() -> FakeControl:
    return FakeControl()


@pytest.fixture
async def federation(
    tmp_path: Path, feed: Path, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Federation]:
    monkeypatch.setattr(evidence, "INTERVAL", 0.01)
    lab = SimpleNamespace(plan=plan(), layout=Layout(tmp_path / "lab"), open_control=lambda: control)
    with Recorder(tmp_path / "history.jsonl") as recorder:
        async with Federation(lab, recorder) as running:  # type: ignore[arg-type]
            yield running


def of(federation: Federation, kind: type) -> list[Any]:
    return [event for event in federation.history.events if isinstance(event, kind)]


async def recorded(federation: Federation, kind: type, count: int = 1) -> None:
    """Return once so many events of a kind are in the history."""
    changed = asyncio.Event()
    end = federation.history.on_event(lambda _: changed.set())
    async with asyncio.timeout(5):
        while len(of(federation, kind)) < count:
            changed.clear()
            await changed.wait()
    end()


async def test_what_a_server_reports_is_in_the_history_while_the_scenario_runs(
    federation: Federation, feed: Path
) -> None:
    with feed.open("ab") as file:
        file.write(line(id="m1") + logged("careful"))
    await recorded(federation, ServerLogged)
    assert [event.id for event in of(federation, ServerSaw)] == ["m1"]


async def test_streams_that_are_open_when_it_begins_belong_to_the_run(federation: Federation) -> None:
    assert [one.id for one in of(federation, ServerStreamOpened)] == ["open"]


async def test_answers_of_the_name_server_since_the_beginning(federation: Federation, control: FakeControl) -> None:
    control.log.append(control.query(2))
    await recorded(federation, DnsAnswered)
    control.log[:] = [control.query(5)]  # it keeps no more than so many
    await recorded(federation, DnsAnswered, 2)
    assert of(federation, DnsAnswered)[0].records == (("SRV", "0 0 5269 127.80.0.1."),)
    assert "2 DNS questions" in of(federation, Note)[0].text


async def test_so_many_of_a_kind_and_a_note_says_what_was_cut(
    federation: Federation, feed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "MOST", 3)
    with feed.open("ab") as file:
        file.write(b"".join(line(id=f"m{number}") + logged("careful") for number in range(5)))
    await federation._evidence.finish()
    assert len(of(federation, ServerSaw)) == 5
    assert len(of(federation, ServerLogged)) == 3
    assert "home: 2 more lines of its log than the first 3 are left out of the history" in [
        note.text for note in of(federation, Note)
    ]


async def test_a_damaged_feed_is_said_at_the_end(federation: Federation, feed: Path) -> None:
    with feed.open("ab") as file:
        file.write(b"garbage\n")
    await asyncio.wait([federation._evidence._task])  # type: ignore[list-item]
    with pytest.raises(PeerError, match=r"feed.jsonl:3: "):
        await federation._evidence.finish()


async def test_a_run_that_breaks_off_keeps_what_was_reported(tmp_path: Path, feed: Path, control: FakeControl) -> None:
    lab = SimpleNamespace(plan=plan(), layout=Layout(tmp_path / "lab"), open_control=lambda: control)
    with Recorder(tmp_path / "history.jsonl") as recorder:
        async with Federation(lab, recorder) as running:  # type: ignore[arg-type]
            with feed.open("ab") as file:
                file.write(line(id="m1"))
        assert [event.id for event in of(running, ServerSaw)] == ["m1"]


async def test_when_servers_were_down_is_recorded(federation: Federation) -> None:
    began = federation.history.now()
    federation.history.record(Note(at=began, text="the run begins"))

    async def read_states() -> dict[str, ServerState]:
        return {
            "island": ServerState(True, changes=[(began - 9, True)]),
            "home": ServerState(True, changes=((began - 9, True), (began + 1, False), (began + 2, True))),
            "public": ServerState(False, changes=((began - 9, True), (began - 8, False))),
        }

    federation.lab.read_states = read_states  # type: ignore[method-assign]
    began = next(event.at for event in federation.history.events)
    await record_server_states(federation.context)
    kinds = (ServerEnded, ServerStarted)
    found = [(one.server, one.kind, one.at - began) for one in federation.history.events if isinstance(one, kinds)]
    assert found == [("home", "server-ended", 1), ("home", "server-started", 2), ("public", "server-ended", -8)]


async def test_what_attacks_did_is_in_the_history_once_and_what_nobody_has_any_more_is_said(
    federation: Federation, control: FakeControl
) -> None:
    control.interventions, control.last_intervention = [intervention(3)], 3
    await recorded(federation, Intervened)
    assert [(one.attack, one.id) for one in of(federation, Intervened)] == [("replay", "m1")]
    assert of(federation, Note)[0].text == "attacks acted on 2 stanzas of which nothing is known any more"
