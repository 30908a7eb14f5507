"""What a link's conditions come to on real servers: nothing arrives before its latency has passed."""

from pathlib import Path

import pytest

from lab import Federation, scenario
from lab.history.events import Delivered, Sent
from lab.runner.judgement import load_record
from lab.runner.run import run_scenario
from lab.runner.scenarios import get_info
from tests.runtimes import mostly_processes

pytestmark = pytest.mark.live

LATENCY = 0.1  # seconds


@scenario()
async def there_and_back(federation: Federation) -> None:
    """A message each way."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    for sender, receiver in ((alice, bob), (bob, alice)):
        await (await sender.send(receiver, "tick")).outcome()


@mostly_processes
async def test_nothing_arrives_before_the_latency_has_passed(lab_on, tmp_path: Path) -> None:
    """How much later is measured with a clock that the test moves (test_relay.py), and by benchmarks/relay.py."""
    lab = await lab_on(f"pair,latency={LATENCY * 1000:.0f}ms")
    result = await run_scenario(get_info(there_and_back), lab, runs=tmp_path)
    assert result.value == "valid", result.sentence
    record = load_record(result.folder)
    sent = {event.message: event for event in record.of(Sent) if not event.marker}
    took = [event.at - sent[event.message].at for event in record.of(Delivered) if event.message in sent]
    assert len(took) == 2
    assert min(took) >= LATENCY, took
