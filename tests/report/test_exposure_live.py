"""What two real servers of both kinds learn of two people who write to each other with OMEMO."""

from pathlib import Path

import pytest

from lab.history.events import ServerSaw, ServerStreamOpened
from lab.metrics.conversations import read_conversations
from lab.metrics.exposure import exposure
from lab.metrics.half_seen import compute_half_seen
from lab.runner import load
from lab.runner.judgement import load_record
from lab.runner.run import run_scenario
from lab.testing.session_labs import SessionLabs

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
