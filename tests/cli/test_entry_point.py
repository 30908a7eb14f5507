"""The edge: each error and each signal becomes its exit code, and one line for people."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from lab.cli import entry_point
from lab.cli.app import app
from lab.errors import LabError, MissingError, NotReady, PeerError, TimedOut, UserError


def _app(raised: BaseException | None = None) -> typer.Typer:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)

    @app.command("do")
    def do(number: int = 0) -> None:
        if raised is not None:
            raise raised

    @app.command("other")
    def other() -> None: ...

    return app


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XMPPLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (None, 0),
        (typer.Exit(2), 2),
        (UserError("no such server"), 64),
        (MissingError("no engine"), 69),
        (NotReady("never ready", ("last line",)), 3),
        (TimedOut("too slow"), 70),
        (PeerError("odd answer"), 70),
        (LabError("some"), 70),
        (ValueError("a bug"), 70),
        (KeyboardInterrupt(), 130),
        (entry_point.Terminated(signal.SIGTERM), 143),
        (entry_point.Terminated(signal.SIGHUP), 129),
    ],
    ids=repr,
)
def test_each_error_has_its_code(raised: BaseException | None, code: int) -> None:
    assert entry_point.run(_app(raised), ["do"]) == code


@pytest.mark.parametrize("arguments", [["nothing"], ["do", "--unknown"], ["do", "--number", "x"], ["do", "extra"]])
def test_bad_usage_is_64_and_says_where_to_look(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert entry_point.run(_app(), arguments) == 64
    told = capsys.readouterr().err
    assert told.startswith("xmpplab: ") and "--help" in told


@pytest.mark.parametrize("arguments", [["up", "--runtime", "x"], ["report", "-f", "x"], ["fault", "x"]])
def test_a_wrong_choice_is_told_with_the_right_ones(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert entry_point.run(app, arguments) == 64
    assert re.match(r"xmpplab: Invalid value for '[^:]+': 'x' is not one of '\w+', ", capsys.readouterr().err)


def test_an_error_that_says_what_to_do_is_told_alone(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    entry_point.run(_app(UserError("mine.yaml:3:1: links: unknown server, change it")), ["do"])
    assert capsys.readouterr().err == "xmpplab: mine.yaml:3:1: links: unknown server, change it\n"
    assert not home.exists()


def test_evidence_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    entry_point.run(_app(NotReady("a was never ready", ("port in use",))), ["do"])
    assert capsys.readouterr().err == "xmpplab: a was never ready\n  | port in use\n"


def test_the_traceback_of_a_bug_goes_to_a_private_file(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    entry_point.run(_app(ValueError("a bug")), ["do"])
    told = capsys.readouterr().err
    (file,) = (home / "errors").iterdir()
    assert "internal error: ValueError: a bug" in told and str(file) in told and "Traceback" not in told
    assert "Traceback" in file.read_text() and "in do" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_old_tracebacks_are_deleted(home: Path) -> None:
    (home / "errors").mkdir(parents=True)
    for number in range(30):
        (home / "errors" / f"20200101-0000{number:02}-1.txt").touch()
    entry_point.run(_app(ValueError("a bug")), ["do"])
    kept = sorted(path.name for path in (home / "errors").iterdir())
    assert len(kept) == entry_point.MAX_TRACEBACKS and not kept[-1].startswith("2020")


def test_a_traceback_is_never_lost(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    home.write_text("not a folder")
    assert entry_point.run(_app(ValueError("a bug")), ["do"]) == 70
    told = capsys.readouterr().err
    assert "no file could be written" in told and "Traceback" in told


def test_work_gives_back_what_the_coroutine_returns() -> None:
    async def answer() -> int:
        return 42

    assert entry_point.run_async(answer()) == 42


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("asynchronous", [True, False], ids=["async", "sync"])
def test_a_signal_ends_the_work_and_cleans_up(tmp_path: Path, number: int, code: int, asynchronous: bool) -> None:
    """A verb in progress, in a process of its own, as a shell would end it."""
    begun, cleaned = tmp_path / "begun", tmp_path / "cleaned"
    script = tmp_path / "verb.py"
    script.write_text(f"""
import asyncio, pathlib, sys, time, typer
from lab.cli import entry_point
from lab.cli.app import app
begun, cleaned = pathlib.Path({str(begun)!r}), pathlib.Path({str(cleaned)!r})

async def long():
    try:
        begun.touch()
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.05)  # a clean-up awaits as well
        cleaned.touch()

app = typer.Typer()
@app.command()
def verb():
    if {asynchronous}:
        entry_point.run_async(long())
    try:
        begun.touch()
        time.sleep(60)
    finally:
        cleaned.touch()

sys.exit(entry_point.run(app, []))
""")
    returned, told = _signal_once_begun(script, begun, number)
    assert returned == code, told
    assert cleaned.exists()
    assert "Traceback" not in told


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("stubborn", [False, True])
def test_a_signal_ends_work_that_blocks_the_event_loop(tmp_path: Path, number: int, code: int, stubborn: bool) -> None:
    """Where it can be interrupted it cleans up; where it catches every error its process ends."""
    begun, cleaned = tmp_path / "begun", tmp_path / "cleaned"
    script = tmp_path / "verb.py"
    script.write_text(f"""
import pathlib, sys, time, typer
from lab.cli import entry_point
from lab.cli.app import app
from lab.system import blocked_loop
blocked_loop.PATIENCE, blocked_loop.ATTEMPTS = 0.2, 2

async def long():
    try:
        pathlib.Path({str(begun)!r}).touch()
        while True:
            try:
                time.sleep(60)
            except BaseException:
                if not {stubborn}:
                    raise
    finally:
        pathlib.Path({str(cleaned)!r}).touch()

app = typer.Typer()
@app.command()
def verb():
    entry_point.run_async(long())

sys.exit(entry_point.run(app, []))
""")
    returned, told = _signal_once_begun(script, begun, number)
    assert returned == code, told
    assert cleaned.exists() is not stubborn
    assert ("cannot be interrupted" in told) is stubborn
    assert "Traceback" not in told


def test_a_second_sigterm_does_not_break_the_clean_up() -> None:
    done = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(30)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.05)
            done.append(True)

    # This test runs inside a loop's thread without one running, as a verb does.
    with pytest.raises(entry_point.Terminated) as caught:
        entry_point.run_async(work())
    assert done and caught.value.number == signal.SIGTERM


def test_signal_handlers_are_given_back() -> None:
    before = {number: signal.getsignal(number) for number in entry_point.ENDING}
    entry_point.run(_app(), ["do"])
    assert {number: signal.getsignal(number) for number in entry_point.ENDING} == before


def test_a_reader_that_has_gone_is_no_internal_error() -> None:
    script = (
        "import sys, typer\nfrom lab.cli import entry_point\napp = typer.Typer()\n"
        "@app.command()\ndef verb():\n    [print('x' * 80, flush=True) for _ in range(10000)]\n"
        "sys.exit(entry_point.run(app, []))"
    )
    reader, writer = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", script], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    os.close(reader)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 141 and not told


def _signal_once_begun(script: Path, begun: Path, number: int) -> tuple[int, str]:
    """Run a script and send it a signal once the file is there: its exit code and its standard error."""
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 30
        while not begun.exists():
            assert process.poll() is None and time.monotonic() < deadline, process.stderr and process.stderr.read()
            time.sleep(0.02)
        process.send_signal(number)
        _, told = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    return process.returncode, told
