"""What a load comes to: bounds kept, missed, or nobody can say."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.load.analysis import thresholds as bounds
from lab.load.analysis.thresholds import LoadVerdict, judge_load
from lab.load.metrics.result import Result
from lab.load.metrics.run_folder import LoadOutcome, RunWriter, read
from lab.load.model.job import Job
from tests.load.synthetic_results import result

NO_LOSS = bounds.parse_bounds("loss=0,bounced=0")


def judged(folder: Path, outcome: LoadOutcome, asked: dict[str, float]) -> LoadVerdict:
    with RunWriter(Job("lab", {}, folder=folder, name="federation", bounds=asked)) as writer:
        writer.finish(outcome)
    return judge_load(read(folder))


def test_every_bound_kept_is_valid(tmp_path: Path) -> None:
    found = judged(tmp_path, LoadOutcome(result(100, 0.05), settled=True), {**NO_LOSS, "p99": 0.2})
    assert (found.value, found.exit_code) == ("valid", 0)
    assert str(found) == (
        "VALID: federation is within its bounds (no loss or bounce, p99 at most 200 ms): "
        "400 of 400 received, p99 50.0 ms."
    )


def test_a_load_that_did_not_take_place_is_not_valid(tmp_path: Path) -> None:
    short = result(100, 0.05)
    short.plan["expected"] *= 2
    found = judged(tmp_path, LoadOutcome(short, settled=True), NO_LOSS)
    assert found.value == "unknown"
    assert "the generator was the limit, not the servers: 400 of 800 requested messages were sent" in found.sentence


@pytest.mark.parametrize("interrupted", ["", "ended by SIGINT"])
def test_a_bound_that_was_missed_fails_also_what_was_interrupted(tmp_path: Path, interrupted: str) -> None:
    found = judged(tmp_path, LoadOutcome(result(100, 0.05, lost=4), interrupted), NO_LOSS)
    assert (found.value, found.exit_code) == ("failed", 1)
    assert found.misses == ("loss was 0.9901%, the bound is 0.0000%",)


def test_all_lost_is_failed_and_not_unknown(tmp_path: Path) -> None:
    nothing = result(100, 0.05, lost=4)
    tally = nothing.routes["a->b"]
    tally.received = 0
    assert judged(tmp_path, LoadOutcome(nothing, settled=True), NO_LOSS).value == "failed"


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (LoadOutcome(Result(), "ended by SIGTERM"), "measured nothing: it was interrupted: ended by SIGTERM"),
        (LoadOutcome(Result()), "measured nothing: nothing was received"),
        (
            LoadOutcome(result(100, 0.05), "worker 0 ended early", settled=True),
            "until it was interrupted: worker 0 ended",
        ),
        (LoadOutcome(result(100, 0.05), settled=False), "it is not known what was lost"),
    ],
)
def test_what_nobody_can_say_is_unknown(tmp_path: Path, outcome: LoadOutcome, said: str) -> None:
    found = judged(tmp_path, outcome, NO_LOSS)
    assert (found.value, found.exit_code) == ("unknown", 2)
    assert said in found.sentence
