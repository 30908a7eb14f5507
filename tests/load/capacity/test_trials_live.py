"""A search on real servers: its trials, their folders, what it finds at most.

What it names as the limit depends on the machine, and is measured by benchmarks/load_search.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab.lifecycle import up as labs
from lab.load.capacity.search import Bounds
from lab.load.capacity.trials import find_limit_on
from lab.load.coordinator.provisioning import adapt_topology
from tests.runtime.helpers import pair

pytestmark = pytest.mark.live

#: Bytes a second and direction: about 140 messages, whatever the machine.
NARROW = """
name: narrow
teaches: A link that carries little.
servers: {a: {}, b: {software: ejabberd}}
links: [{between: [a, b], rate: 160kbit/s}]
"""
LOAD = {"users": 4, "traffic": "neighbours", "seconds": 1.0, "warmup": 0.0, "tick": 0.02}


async def test_each_trial_is_a_load_with_a_folder(tmp_path: Path) -> None:
    """At a rate that is nothing to the servers; on a busy machine the generator may be late, and the rate not hold."""
    lab = await labs.up(adapt_topology(pair("prosody", "ejabberd")), runtime="processes", owned=True)
    try:
        bounds = Bounds(p99=60.0, lowest=20, start=20, highest=20)
        limit = await find_limit_on(lab, LOAD, bounds, folder=tmp_path)
    finally:
        await lab.down()
    assert len(list(tmp_path.glob("*/result.json"))) == len(limit.trials) >= 2
    assert {trial.rate for trial in limit.trials} == {20}
    assert not any(trial.backlog for trial in limit.trials)
    assert limit.rate == (20 if limit.confirmed else 0)
    assert limit.bottleneck != "none" or limit.confirmed
    assert all(trial.result.total.sent == 20 for trial in limit.trials)


@pytest.mark.slow
def test_the_verb_finds_no_more_than_a_narrow_link_carries(tmp_path: Path) -> None:
    (tmp_path / "narrow.yaml").write_text(NARROW)
    words = ["load", "neighbours", "-t", "narrow.yaml", "-u", "4", "-r", "100/s", "--for", "1s", "--warmup", "0s"]
    words += ["--runtime", "processes", "--find-limit", "p99=200ms,loss=0", "-f", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "lab.cli", *words], cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    told = json.loads(done.stdout)
    assert told["rate"] < 250, "twice as much is late by half of the second that it lasts"
    assert len(list((tmp_path / told["folder"]).glob("*/result.json"))) == len(told["trials"])
