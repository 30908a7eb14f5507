"""A federation without servers: what its devices do is what the test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.federation import Federation
from lab.federation.context import Context
from lab.history.recorder import Recorder
from lab.network.control import Control
from lab.plan.layout import Layout
from tests.checks.sample_history import plan


class FakeAgent:
    """Answers each call as `answers[operation]` does, and with nothing where that is missing; keeps what was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str | None, dict[str, Any]]] = []
        self.answers: dict[str, Callable[..., dict[str, Any] | None]] = {"connect": self._connect}
        self.on_event: Callable[[dict[str, Any]], None] | None = None
        self.closed = False
        self.made: list[tuple[str, list[str]]] = []  # accounts: the server and its users

    async def call(self, operation: str, device: str | None = None, **fields: Any) -> dict[str, Any]:
        self.calls.append((operation, device, fields))
        answer = self.answers.get(operation)
        return (answer(device, **fields) if answer else None) or {}

    def of(self, operation: str) -> list[dict[str, Any]]:
        return [fields for one, _, fields in self.calls if one == operation]

    def tell(self, event: str, device: str, **fields: Any) -> None:
        """An event of a device, at one second."""
        assert self.on_event is not None, "nobody is connected"
        self.on_event({"event": event, "device": device, "at": 1.0, **fields})

    async def close(self) -> None:
        self.closed = True

    @staticmethod
    def _connect(device: str | None, *, jid: str, resource: str, **_: Any) -> dict[str, Any]:
        return {"jid": f"{jid}/{resource}", "stream": f"stream of {device}"}


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> FakeAgent:
    made = FakeAgent()

    async def start(self: Context, on_event: Any, **_: Any) -> FakeAgent:
        made.on_event = on_event
        return made

    monkeypatch.setattr(Context, "start_agent", start)
    return made


@pytest.fixture
async def federation(agent: FakeAgent, tmp_path: Path) -> AsyncIterator[Federation]:
    """island - home - public; island and public are not linked."""

    async def make(server: str, users: list[str]) -> None:
        agent.made.append((server, users))

    async def libraries(encryption: str) -> str | None:
        return "the libraries of otr" if encryption == "otr" else None

    layout = Layout(tmp_path / "lab")
    lab = SimpleNamespace(
        plan=plan(),
        authority="",
        trusted=lambda server: "",
        password="secret",
        layout=layout,
        create_accounts=make,
        find_libraries=libraries,
        agent_folder=lambda *names: "/".join(names),
        open_control=lambda: Control(layout.control),  # no service answers there
    )
    lab.layout.root.mkdir()
    with Recorder(tmp_path / "history.jsonl") as recorder:
        async with Federation(lab, recorder) as running:
            yield running
    assert agent.closed or not agent.calls
