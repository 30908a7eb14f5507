"""What two real servers of both kinds learn of two people who write to each other with OMEMO."""

from pathlib import Path

import pytest

from lab.history.events import ServerSaw, ServerStreamOpened
from lab.metrics.conversations import read_conversations
from lab.metrics.exposure import exposure
from lab.metrics.half_seen import compute_half_seen
from lab.metrics.jids import strip_resource
from lab.runner import load
from lab.runner.judgement import load_record
from lab.runner.run import run_scenario
from lab.runner.scenarios import get_info
from lab.testing.session_labs import SessionLabs
from tests.runner.small_scenarios import three_neighbours
from tests.runtimes import CONTAINERS, PROCESSES

pytestmark = [pytest.mark.live, pytest.mark.slow]


async def test_both_servers_learn_who_and_when_and_each_cell_has_its_proof(tmp_path: Path) -> None:
    labs = SessionLabs("processes")
    try:
        (info,) = load("who_and_when")
        result = await run_scenario(info, await labs.get("pair,software=prosody+ejabberd"), runs=tmp_path)
    finally:
        await labs.close()
    assert result.value == "valid", result.sentence
    record = load_record(result.folder)
    found = {(cell.server, cell.fact): cell for cell in exposure(record)}
    for server in ("a", "b"):
        for fact in (
            "contacts",
            "messages",
            "times",
            "sizes",
            "presence",
            "device_ids",
            "receipts",
            "typing",
            "addresses",
        ):
            cell = found[server, fact]
            assert cell.count, (server, fact, cell)
            assert cell.event is not None
            proof = record.events[cell.event - 1]
            assert type(proof) is (ServerStreamOpened if fact == "addresses" else ServerSaw)
            assert proof.server == server
        assert found[server, "contacts"].count == found[server, "receipts"].count == 1
        assert found[server, "device_ids"].count == found[server, "presence"].count == 2
        assert found[server, "rooms"].count == found[server, "texts"].count == 0
    assert compute_half_seen(read_conversations(record))[0].needed == 1


@pytest.mark.parametrize("runtime", [PROCESSES, CONTAINERS], indirect=True, scope="session")
@pytest.mark.parametrize(("placement", "addresses"), [("each", 3), ("together", 1)])
async def test_a_server_sees_as_many_addresses_as_there_are_people_in_places_of_their_own(
    placement: str, addresses: int, lab_on, tmp_path: Path
) -> None:
    lab = await lab_on(f"pair,software=prosody+ejabberd,placement={placement}")
    info = get_info(three_neighbours)
    record = load_record((await run_scenario(info, lab, runs=tmp_path)).folder)
    cells = {cell.server: cell for cell in exposure(record) if cell.fact == "addresses"}
    assert {name: cell.count for name, cell in cells.items()} == {"a": addresses, "b": addresses}
    opened = [(one.server, one.peer, one.address) for one in record.of(ServerStreamOpened) if one.stream == "c2s"]
    assert len(opened) == 12, "two devices each"
    # Everybody's two devices have one address, and nobody has that of a person on the other server either.
    of_people = {(strip_resource(peer), address) for _, peer, address in opened}
    assert len(of_people) == 6
    assert len({address for _, address in of_people}) == (6 if placement == "each" else 1)
