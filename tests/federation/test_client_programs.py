"""Fetched clients of guests: what is refused before one is started, and with which words it is started."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.errors import MissingError, NotApplicable, UserError
from lab.federation import programs
from lab.lifecycle import client_namespace
from lab.lifecycle.client_namespace import ClientCommand

CONTEXT: Any = SimpleNamespace(lab=SimpleNamespace(name="there"))
GUEST: Any = SimpleNamespace(name="alice", server=SimpleNamespace(name="a"))


async def test_an_unknown_client_is_refused() -> None:
    with pytest.raises(UserError, match="there is no client 'no-such'"):
        async with programs.run_client(CONTEXT, "no-such", GUEST, (), None):
            pytest.fail("it was started")


async def test_where_it_cannot_be_fetched_the_scenario_does_not_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> Path:
        raise MissingError("apt-get is not installed")

    monkeypatch.setattr(programs, "ensure_client", fail)
    with pytest.raises(NotApplicable, match="go-sendxmpp cannot be fetched here: apt-get is not installed"):
        async with programs.run_client(CONTEXT, "go-sendxmpp", GUEST, (), None):
            pytest.fail("it was started")


@pytest.mark.parametrize(
    "command",
    [
        ClientCommand("there", ("true", "--as", "this")),
        ClientCommand("there", ("x",), "alice@a", home=True, client="profanity", tree=Path("/tree")),
        ClientCommand("there", (), "alice@a", client="mcabber", tree=Path("/tree"), profile=Path("/home of hers")),
    ],
)
def test_the_words_of_a_command_mean_that_command(command: ClientCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    became = []
    monkeypatch.setattr(client_namespace, "become", lambda what, parent: became.append(what))
    client_namespace.main(command.build_words())
    assert became == [command]
