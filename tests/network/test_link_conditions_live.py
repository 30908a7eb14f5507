"""What a link's conditions come to between two people: the delay asked for is the delay there is."""

from pathlib import Path
from statistics import median

import pytest

from lab import Federation, scenario
from lab.history.events import Delivered, Sent
from lab.runner.judgement import load_record
from lab.runner.run import run_scenario
from lab.runner.scenarios import info_of

pytestmark = [pytest.mark.live, pytest.mark.alone]

MESSAGES = 40
ASKED = 0.050  # seconds


@scenario()
async def one_by_one(federation: Federation) -> None:
    """Messages each way, one after another, once the streams are up."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    for sender, receiver in ((alice, bob), (bob, alice)):
        for _ in range(MESSAGES):
            await (await sender.send(receiver, "tick")).outcome()


async def delays(lab_on, topology: str, runs: Path) -> tuple[float, float]:
    """Median seconds from sending to delivery, there and back."""
    result = await run_scenario(info_of(one_by_one), await lab_on(topology), runs=runs)
    assert result.value == "valid", result.sentence
    record = load_record(result.folder)
    sent = {event.message: event for event in record.of(Sent) if not event.marker}
    there = {key for key, event in sent.items() if event.sender.startswith("alice")}
    took = {event.message: event.at - sent[event.message].at for event in record.of(Delivered) if event.message in sent}
    return (
        median(took[key] for key in took if key in there),
        median(took[key] for key in took if key not in there),
    )


async def test_the_delay_asked_for_is_the_delay_there_is(lab_on, tmp_path: Path) -> None:
    """50 ms on the link are 50 ms within 10 % end to end, each way, beside a link without conditions."""
    plain = await delays(lab_on, "pair", tmp_path)
    slow = await delays(lab_on, "pair,latency=50ms", tmp_path)
    for without, with_ in zip(plain, slow, strict=True):
        assert with_ - without == pytest.approx(ASKED, rel=0.1), (plain, slow)
