"""One run, with a federation that is none: every way in which a scenario can end."""

import asyncio
import contextlib
import json
import os
import re
import stat
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab import exit_codes
from lab.errors import MissingError, NotApplicable, NotReceived, PeerError, TimedOut, UserError
from lab.history.events import Delivered, RouteSettled, RunEnded, RunStarted, Sent
from lab.history.reader import read
from lab.history.recorder import Recorder
from lab.plan import files
from lab.plan.layout import Layout
from lab.report.html.run_files import write_reports
from lab.runner import expect, folders, scenario, step
from lab.runner.run import run_scenario
from lab.runner.scenarios import get_info
from lab.servers.conventions import OUTPUT
from tests.checks.sample_history import plan

ALICE, BOB = "alice@island.test/phone", "bob@home.test/phone"


def end_of(folder: Path) -> RunEnded:
    ended = read(folder / "history.jsonl")[-1]
    assert isinstance(ended, RunEnded)
    return ended


@dataclass
class Fake:
    """A federation that delivers at once."""

    recorder: Recorder
    settled: bool = False
    collected: bool = False
    closed: bool = False
    breaks: dict = field(default_factory=dict)

    async def __aenter__(self):
        self._maybe("open")
        return self

    async def __aexit__(self, *error):
        self.closed = True

    def send(self):
        record, now = self.recorder.record, self.recorder.now()
        record(
            Sent(
                at=now,
                message="m1",
                sender=ALICE,
                receiver="bob@home.test",
                stream="s",
                encryption="plain",
                expected=(BOB,),
            )
        )
        record(Delivered(at=now, message="m1", sender=ALICE, device=BOB, stream="t", via="live"))

    async def settle(self):
        self._maybe("settle")
        self.settled = True
        self.recorder.record(RouteSettled(at=self.recorder.now(), sender=ALICE, receiver=BOB, arrived=True))

    async def collect(self):
        self._maybe("collect")
        self.collected = True

    def _maybe(self, what):
        if what in self.breaks:
            raise self.breaks[what]


async def perform(tmp_path, story, *, breaks=None, **values):
    made = []

    def opened(lab, recorder, *, inline):
        made.append(Fake(recorder, breaks=breaks or {}))
        return made[0]

    info = get_info(scenario(spec="RFC 6120 10.4", expects=values.pop("expects", None))(story))
    lab = SimpleNamespace(plan=plan(), layout=Layout(tmp_path / "lab"), runtime=SimpleNamespace(name="processes"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lab.runner.run.Federation", opened)
        result = await run_scenario(info, lab, report=write_reports, runs=tmp_path / "runs", **values)
    return result, made[0]


async def good(federation):
    """All is well."""
    with step("it arrives"):
        federation.send()
        expect(1, 1)


async def test_a_good_run_leaves_a_whole_folder(tmp_path):
    result, fake = await perform(tmp_path, good)
    assert (result.how, result.value, result.exit_code, result.skipped) == ("finished", "valid", 0, False)
    assert fake.settled
    assert fake.collected
    assert fake.closed
    folder = result.folder
    assert {path.name for path in folder.iterdir()} == {
        "topology.json", "plan.json", "history.jsonl", "verdict.json", "report.txt", "page.html",
    }  # fmt: skip
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert (tmp_path / "runs" / "latest").resolve() == folder.resolve()
    assert files.load((folder / "plan.json").read_text()) == plan()
    assert json.loads((folder / "topology.json").read_text())["name"] == "three"
    events = read(folder / "history.jsonl")
    assert isinstance(events[0], RunStarted)
    assert (events[0].scenario, events[0].title, events[0].spec) == ("good", "All is well.", "RFC 6120 10.4")
    assert isinstance(events[-1], RunEnded)


async def failing(federation):
    federation.send()
    expect(1, 2)


async def asserting(federation):
    federation.send()
    value = 3
    assert value == 4, "three is not four"


async def waiting(federation):
    federation.send()
    raise NotReceived("bob received no stanza with 'm9' within 1", ("<message id='m8'/>",))


async def crashing(federation):
    with step("dividing"):
        1 / 0  # noqa: B018


async def leaving(federation):
    sys.exit(0)


async def asking_wrongly(federation):
    raise UserError("there is no server nobody")


async def lab_breaking(federation):
    federation.send()
    raise PeerError("home refused to make an account")


async def not_for_this(federation):
    raise NotApplicable("no two servers of this topology are unlinked")


async def cancelling_its_own(federation):
    task = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    task.cancel()
    await task


async def closed(federation):
    raise GeneratorExit


ENDS = {
    "own-cancellation": (cancelling_its_own, "script-error", "unknown", 2, "CancelledError: what it awaited had been"),
    "generator-exit": (closed, "script-error", "unknown", 2, "GeneratorExit"),
    "expectation": (failing, "expectation", "failed", 1, "expected 2; got 1"),
    "assert": (asserting, "expectation", "failed", 1, "three is not four"),
    "not-received": (waiting, "expectation", "failed", 1, "bob received no stanza with 'm9' within 1\n  | <message"),
    "bug-of-the-script": (
        crashing,
        "script-error",
        "unknown",
        2,
        "ZeroDivisionError: division by zero, in the step 'dividing'",
    ),
    "leaving": (leaving, "script-error", "unknown", 2, "sys.exit(0)"),
    "wrong-call": (asking_wrongly, "script-error", "unknown", 2, "test_run.py:"),
    "refused": (lab_breaking, "peer-error", "unknown", 2, "home refused to make an account"),
    "not-applicable": (not_for_this, "not-applicable", "skipped", 2, "no two servers of this topology are unlinked"),
}


@pytest.mark.parametrize("name", sorted(ENDS))
async def test_each_end_is_what_it_means(name, tmp_path):
    story, how, value, code, said = ENDS[name]
    result, fake = await perform(tmp_path, story)
    assert (result.how, result.value, result.exit_code) == (how, value, code)
    ended = end_of(result.folder)
    assert said in ended.detail
    assert fake.closed
    assert fake.settled == (how == "expectation")
    assert fake.collected == (how in ("expectation", "lab-error", "peer-error", "script-error"))
    assert result.skipped == (how == "not-applicable")


async def test_an_assertion_names_its_line(tmp_path):
    result, _ = await perform(tmp_path, asserting)
    line = asserting.__code__.co_firstlineno + 3
    assert f"test_run.py:{line}" in (result.folder / "report.txt").read_text()


@pytest.mark.parametrize(
    ("where", "error", "said"),
    [
        ("open", PeerError("the agent does not start"), "could not be opened: the agent does not start"),
        ("settle", TimedOut("no answer", ("last line",)), "at the end of the run: no answer"),
        ("collect", RuntimeError("odd"), "at the end of the run: RuntimeError: odd"),
    ],
)
async def test_an_error_around_the_scenario_leaves_it_unknown(where, error, said, tmp_path):
    result, _ = await perform(tmp_path, good, breaks={where: error})
    assert (result.how, result.value) == ("lab-error", "unknown")
    assert said in end_of(result.folder).detail


async def lacking(federation):
    federation.send()
    raise MissingError("libotr.so.5 is not on this machine: install libotr5")


async def test_what_the_machine_lacks_has_an_exit_code_of_its_own(tmp_path):
    result, _ = await perform(tmp_path, lacking)
    assert (result.how, result.value, result.exit_code) == ("missing", "unknown", exit_codes.MISSING)
    assert "The scenario broke off: " in result.sentence and "install libotr5" in result.sentence


async def test_what_was_expected_and_failed_stays_failed_when_the_lab_breaks_later(tmp_path):
    result, _ = await perform(tmp_path, failing, breaks={"collect": PeerError("gone")})
    assert (result.how, result.value) == ("expectation", "failed")


async def test_a_forgotten_await_makes_a_run_unknown_whatever_else_held(tmp_path):
    async def write():
        """Never run."""

    async def forgetful(federation):
        await good(federation)
        write()  # type: ignore[unused-coroutine]

    assert (await perform(tmp_path / "a", good))[0].value == "valid"
    result, _ = await perform(tmp_path / "b", forgetful)
    assert (result.how, result.value) == ("script-error", "unknown")
    assert re.search(r"test_run.py:\d+: `.*write` is not awaited: write `await` before it", result.sentence)


async def test_a_scenario_that_hangs_is_ended_with_its_step(tmp_path):
    async def hanging(federation):
        with step("waiting for nothing"):
            await asyncio.Event().wait()

    result, fake = await perform(tmp_path, hanging, within=0.05)
    assert result.value == "unknown"
    assert re.search(r"test_run.py:\d+: not over after 0.05 s, in the step 'waiting for nothing'", result.sentence)
    assert fake.closed


async def test_a_scenario_that_blocks_the_event_loop_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("lab.system.blocked_loop.PATIENCE", 0.1)

    async def blocking(federation):
        with step("asleep"):
            while True:
                time.sleep(60)  # noqa: ASYNC251

    started = time.monotonic()
    result, fake = await perform(tmp_path, blocking, within=0.05)
    assert time.monotonic() - started < 10
    assert result.value == "unknown"
    assert re.search(r"test_run.py:\d+: not over after 0.05 s, in the step 'asleep'", result.sentence)
    assert fake.closed and fake.collected


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it refuses to be closed, too
@pytest.mark.parametrize("caught", [asyncio.CancelledError, BaseException])
async def test_a_scenario_that_goes_on_when_it_is_cancelled_is_abandoned(tmp_path, monkeypatch, caught):
    monkeypatch.setattr("lab.runner.invocation.GRACE", 0.05)
    end = asyncio.Event()  # so that nothing is left of it for other tests

    async def deaf(federation):
        while not end.is_set():
            with contextlib.suppress(caught):
                await asyncio.sleep(0.01)

    result, fake = await perform(tmp_path, deaf, within=0.05)
    assert result.value == "unknown"
    assert "not over after 0.05 s, and it goes on although it was cancelled" in result.sentence
    assert fake.closed
    end.set()
    await asyncio.sleep(0.05)


async def test_a_run_that_is_cancelled_ends_although_its_scenario_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("lab.runner.invocation.GRACE", 0.05)
    started = asyncio.Event()

    async def deaf(federation):
        started.set()
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    task = asyncio.create_task(perform(tmp_path, deaf))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    folder = (tmp_path / "runs" / "latest").resolve()
    assert end_of(folder).how == "interrupted"


async def test_a_timeout_of_the_scripts_own_is_not_the_deadline(tmp_path):
    async def impatient(federation):
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()

    result, _ = await perform(tmp_path, impatient)
    assert "TimeoutError" in result.sentence
    assert "not over" not in result.sentence


async def test_a_cancelled_run_writes_what_is_there_and_goes_on(tmp_path):
    started = asyncio.Event()

    async def endless(federation):
        federation.send()
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(perform(tmp_path, endless))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    folder = (tmp_path / "runs" / "latest").resolve()
    assert end_of(folder).how == "interrupted"
    assert json.loads((folder / "verdict.json").read_text())["value"] == "unknown"


async def test_a_check_that_must_fail_and_does_not_makes_the_run_fail(tmp_path):
    result, _ = await perform(tmp_path, good, expects={"delivery": "failed"})
    assert (result.value, result.exit_code) == ("failed", 1)


@pytest.mark.parametrize(("story", "copied"), [(good, False), (failing, True), (not_for_this, False)])
async def test_logs_are_copied_where_something_is_wrong(story, copied, tmp_path):
    log = Layout(tmp_path / "lab").server("home") / OUTPUT
    log.parent.mkdir(parents=True)
    log.write_bytes(b"x" * 100 + b"\xff the end\n")
    result, _ = await perform(tmp_path, story)
    target = result.folder / "logs" / "home" / OUTPUT
    assert target.exists() == copied
    if copied:
        assert target.read_text().endswith("the end\n")
        assert [path.name for path in target.parent.iterdir()] == [OUTPUT]


# -- folders ----------------------------------------------------------------------------------------------------


def test_two_runs_in_one_second_have_two_folders(tmp_path):
    first, second = (folders.make(tmp_path, "a story", "small-world:12,seed=3") for _ in range(2))
    assert first != second
    assert (tmp_path / "latest").resolve() == second.resolve()
    assert "a-story-small-world-12-seed-3" in first.name


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch], ids=["folder", "file"])
def test_a_file_called_latest_is_not_destroyed(tmp_path, make):
    make(tmp_path / "latest")
    with pytest.raises(UserError, match="move it away"):
        folders.make(tmp_path, "story", "three")
    assert [path.name for path in tmp_path.iterdir()] == ["latest"]


def test_a_file_in_the_way_of_runs_is_told_before_anything_starts(tmp_path):
    (tmp_path / "runs").touch()
    for runs in (tmp_path / "runs", tmp_path / "runs" / "deeper"):
        with pytest.raises(UserError, match=r"runs is where .* --runs"):
            folders.check(runs)
    folders.check(tmp_path / "not" / "yet" / "there")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(UserError, match="cannot be written to"):
        folders.check(tmp_path / "runs")


def test_a_run_is_found_by_path_by_name_and_as_the_latest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no run yet"):
        folders.find(None)
    folder = folders.make(Path("runs"), "story", "three")
    with pytest.raises(UserError, match="not the folder of a run"):
        folders.find(folder)
    (folder / folders.HISTORY).touch()
    assert folders.find(None) == folder.resolve()
    assert folders.find(folder) == folder
    assert folders.find(Path(folder.name)) == folder


def test_of_a_long_log_the_end_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "LOG_TAIL", 10)
    (tmp_path / "server.log").write_text("a" * 50 + "the end.\n")
    folders.copy_logs(tmp_path, {"home": [tmp_path / "server.log"]})
    assert (tmp_path / "logs" / "home" / "server.log").read_text() == "athe end.\n"
