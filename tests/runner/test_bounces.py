"""The tables of what a sender is told: the committed ones are whole, shown by the documentation, and compared with."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab import LabError, NotApplicable
from lab.runner.expectations import ExpectationFailed
from lab.runner.scenarios import load

(INFO,) = load("bounces")
SCENARIO = INFO.function.__globals__
CAUSES, REFERENCE = SCENARIO["CAUSES"], SCENARIO["REFERENCE"].read_text()
PAGE = Path(__file__).parents[2] / "docs" / "bounces.md"


class Server:
    """One that stands for a server of a federation."""

    def __init__(self, name: str, limit: int | None = None, version: str = "13.0") -> None:
        self.name = name
        self.spec = SimpleNamespace(software=name.split("-")[0], version=version, max_stanza_size=limit)
        self.neighbours: list[Server] = []


def test_the_page_shows_the_committed_tables() -> None:
    assert f"```\n{REFERENCE}```\n" in PAGE.read_text()


def test_the_committed_tables_have_every_cause_on_every_pair() -> None:
    cells = SCENARIO["read_cells"](REFERENCE)
    servers = {"prosody@13.0", "ejabberd@24.12"}
    assert {tuple(cell) for cell in cells} == {(one, a, b) for one in CAUSES for a in servers for b in servers}
    assert all(said for said in cells.values())
    assert not any(word in REFERENCE for word in ("unknown", "delivered", "not tried"))


def test_each_cause_is_dealt_once_to_the_receivers_of_a_software_and_version() -> None:
    first, second, old = Server("prosody-1"), Server("prosody-2"), Server("prosody-3", version="0.12")
    dealt = SCENARIO["deal"]([first, second, old])
    assert sorted(dealt[first] + dealt[second]) == sorted(CAUSES)
    assert abs(len(dealt[first]) - len(dealt[second])) <= 1
    assert dealt[old] == list(CAUSES)


async def run(patch: pytest.MonkeyPatch, changed: dict[int, tuple[str, str]], pair: tuple[str, str]) -> None:
    """Run it with the committed results, but for the causes of these numbers."""
    sender, receiver = Server("prosody"), Server("prosody-1", 20_000)
    receiver.neighbours = [sender]
    known = SCENARIO["read_cells"](REFERENCE)

    async def measure(federation: Any, target: Any, causes: list[str], found: dict[Any, tuple[str, ...]]) -> None:
        for one in causes:
            cell = SCENARIO["Cell"](one, *pair)
            found[cell] = (*known.get(cell, ("delivered", "")), "")[:2]
            found[cell] = changed.get(CAUSES.index(one), found[cell])

    patch.setitem(SCENARIO, "measure", measure)
    await INFO.function(SimpleNamespace(servers=[sender, receiver]))


PAIR = ("prosody@13.0", "prosody@13.0")


async def test_the_committed_results_are_as_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    await run(monkeypatch, {}, PAIR)


async def test_another_result_than_the_committed_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExpectationFailed, match=r"does not exist.*gone"):
        await run(monkeypatch, {4: ("gone", "at once")}, PAIR)


async def test_another_time_than_the_committed_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExpectationFailed, match=r"unreachable.*90 s"):
        await run(monkeypatch, {2: ("remote-server-not-found", "90 s")}, PAIR)


async def test_a_cell_that_is_not_known_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LabError, match=r"1 of 7 cells are unknown: .*no stream ended") as raised:
        await run(monkeypatch, {0: ("unknown: no stream ended", "")}, PAIR)
    assert type(raised.value) is LabError


async def test_servers_without_a_committed_result_are_compared_with_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    await run(monkeypatch, {}, ("mine@", "prosody@0.12"))


async def test_a_topology_without_a_receiver_of_its_kind_is_skipped() -> None:
    limited, other = Server("prosody-1", 20_000), Server("prosody-2", 20_000)
    limited.neighbours, other.neighbours = [other], [limited]
    with pytest.raises(NotApplicable, match="max_stanza_size"):
        await INFO.function(SimpleNamespace(servers=[limited, other]))
