"""Faults are applied, healed and recorded, however the block ends."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from lab.errors import PeerError
from lab.federation import Federation
from lab.history.events import FaultApplied, FaultHealed
from lab.history.reader import read
from lab.history.recorder import Recorder
from lab.plan.layout import Layout
from tests.checks.sample_history import plan


@dataclass
class Recorded:
    """A fault that notes what was done with it, and fails where it is told to."""

    servers: tuple = ()
    fails: tuple = ()
    done: list = field(default_factory=list)
    name: str = "recorded"
    fields: dict = field(default_factory=lambda: {"mode": "reset", "loss": 0.5})

    async def apply(self, federation):
        await self._do("apply")
        return "handle"

    async def heal(self, federation):
        await self._do("heal")

    async def _do(self, what):
        self.done.append(what)
        await asyncio.sleep(0)
        if what in self.fails:
            raise PeerError(f"cannot {what}")


@pytest.fixture
def federation(tmp_path):
    lab = SimpleNamespace(plan=plan(), authority="", layout=Layout(tmp_path / "lab"))
    with Recorder(tmp_path / "history.jsonl") as recorder:
        yield Federation(lab, recorder)


def faults_of(federation):
    """What a reader of the run's folder finds."""
    return [one for one in read(federation.history.path) if isinstance(one, FaultApplied | FaultHealed)]


async def test_a_fault_is_recorded_with_what_it_is(federation):
    fault = Recorded(servers=("island",))
    async with federation.inject(fault) as handle:
        assert (handle, fault.done) == ("handle", ["apply"])
    applied, healed = faults_of(federation)
    assert (applied.fault, applied.servers, dict(applied.fields)) == (
        "recorded",
        ("island",),
        fault.fields,
    )
    assert (applied.error, healed.error) == ("", "")
    assert applied.began <= applied.at <= healed.began <= healed.at
    assert fault.done == ["apply", "heal"]


async def test_it_is_healed_when_the_block_ends_by_an_error(federation):
    fault = Recorded()
    with pytest.raises(AssertionError, match="does not hold"):
        async with federation.inject(fault):
            raise AssertionError("does not hold")
    assert fault.done == ["apply", "heal"]
    assert [one.error for one in faults_of(federation)] == ["", ""]


async def test_it_is_healed_when_the_run_is_cancelled(federation):
    fault, inside = Recorded(), asyncio.Event()

    async def run():
        async with federation.inject(fault):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert fault.done == ["apply", "heal"]
    assert [type(one) for one in faults_of(federation)] == [FaultApplied, FaultHealed]


async def test_what_cannot_be_applied_is_said_and_healed_all_the_same(federation):
    fault = Recorded(fails=("apply",))
    with pytest.raises(PeerError, match="cannot apply"):
        async with federation.inject(fault):
            pytest.fail("the block must not run")
    assert fault.done == ["apply", "heal"]
    assert [one.error for one in faults_of(federation)] == ["cannot apply", ""]


async def test_what_cannot_be_healed_is_said(federation):
    with pytest.raises(PeerError, match="cannot heal"):
        async with federation.inject(Recorded(fails=("heal",))):
            pass
    assert [one.error for one in faults_of(federation)] == ["", "cannot heal"]


async def test_the_first_error_stays_and_names_the_second(federation):
    with pytest.raises(AssertionError, match="does not hold") as caught:
        async with federation.inject(Recorded(fails=("heal",))):
            raise AssertionError("does not hold")
    assert caught.value.__notes__ == ["recorded could not be healed either: cannot heal"]
    assert [one.error for one in faults_of(federation)] == ["", "cannot heal"]


async def test_the_events_of_faults_inside_each_other_can_be_told_apart(federation):
    async with federation.inject(Recorded()), federation.inject(Recorded()):
        pass
    assert [(type(one).__name__, one.number) for one in faults_of(federation)] == [
        ("FaultApplied", 1),
        ("FaultApplied", 2),
        ("FaultHealed", 2),
        ("FaultHealed", 1),
    ]
