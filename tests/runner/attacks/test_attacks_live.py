"""The table of attacks on real servers: as the reference has it, and another one where a device is careless."""

from pathlib import Path
from typing import Any

import pytest

from lab import exit_codes
from lab.clients.encryption.omemo import OmemoStrategy
from lab.runner.attacks.batch import AttackBatch, run_attacks
from lab.runner.attacks.cells import Cell, list_cells
from lab.runner.attacks.reference import PACKAGED, compare, get_exit_code, read_reference
from tests.clients.naive_devices import believe_every_carbon
from tests.runtimes import PROCESSES, mostly_processes

pytestmark = pytest.mark.live

PAIR = "pair,software=prosody+ejabberd"


def batch(cells: list[Cell], runs: Path, *, inline: bool = False) -> AttackBatch:
    return AttackBatch(cells, runs, lambda text: None, lambda folder, record, judgement: None, inline)


@mostly_processes
async def test_a_replayed_message_in_the_clear_is_as_in_the_reference(lab_on: Any, tmp_path: Path) -> None:
    results = await run_attacks(await lab_on(PAIR), batch([Cell("replay", "plain", "none")], tmp_path))
    assert [str(one) for one in compare(results, read_reference(PACKAGED))] == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@mostly_processes
@pytest.mark.parametrize("topology", [PAIR, "pair,software=ejabberd+prosody"])
async def test_every_cell_is_as_in_the_reference(topology: str, lab_on: Any, tmp_path: Path) -> None:
    results = await run_attacks(await lab_on(topology), batch(list_cells(), tmp_path))
    assert [str(one) for one in compare(results, read_reference(PACKAGED))] == []


@pytest.mark.slow
@pytest.mark.parametrize("runtime", [PROCESSES], indirect=True)
async def test_a_device_that_accepts_replayed_messages_shows_as_a_difference(
    lab_on: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decrypt, read = OmemoStrategy.decrypt, {}

    async def decrypt_again(self: OmemoStrategy, incoming: Any, sender: str) -> Any:
        key = (self, incoming.id)
        if key not in read:
            read[key] = await decrypt(self, incoming, sender)
        return read[key]

    monkeypatch.setattr(OmemoStrategy, "decrypt", decrypt_again)
    cells = [Cell("replay", "omemo", "blind")]
    results = await run_attacks(await lab_on(PAIR), batch(cells, tmp_path, inline=True))
    (difference,) = differences = compare(results, read_reference(PACKAGED))
    assert (difference.expected, difference.found.text) == ("receiver", "check delivery")
    assert get_exit_code(differences) == exit_codes.FAILED


@pytest.mark.slow
@pytest.mark.parametrize("runtime", [PROCESSES], indirect=True)
async def test_a_device_that_believes_forged_copies_shows_as_a_difference(
    lab_on: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    believe_every_carbon(monkeypatch)
    cells = [Cell("forge-carbon", "plain", "none"), Cell("forge-carbon", "omemo", "blind")]
    results = await run_attacks(await lab_on(PAIR), batch(cells, tmp_path, inline=True))
    differences = compare(results, read_reference(PACKAGED))
    assert [(one.expected, one.found.text) for one in differences] == [("impossible", "check delivery")] * 2
    assert get_exit_code(differences) == exit_codes.FAILED
