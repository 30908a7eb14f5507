"""Processes are known by more than their pid, and those of a lab by their environment."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import MissingError
from lab.system import processes
from lab.system.processes import (
    MARK,
    Identity,
    check_limits,
    describe_processes,
    end_members,
    find_members,
    identify_file_view,
    read_command_line,
)

SLEEPING = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"]


@pytest.fixture
def marked(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the lab in `tmp_path`, which has begun."""
    with subprocess.Popen(SLEEPING, env={**os.environ, MARK: str(tmp_path)}, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_an_identity_is_this_process_and_no_later_one_with_its_pid() -> None:
    own = Identity.own()
    assert own.alive and own.pid == os.getpid()
    assert Identity.from_json(own.to_json()) == own
    assert not replace(own, started=own.started + 1).alive
    assert not replace(own, boot="another").alive
    with subprocess.Popen(["true"]) as process:
        process.wait()
        assert Identity.of(process.pid) is None


def test_a_labs_processes_are_found_and_named(marked: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert find_members(tmp_path) == [marked.pid]
    assert find_members(tmp_path / "other") == []
    assert describe_processes([marked.pid]) == (f"{marked.pid} {read_command_line(marked.pid)}",)
    assert "time.sleep(600)" in read_command_line(marked.pid)
    assert identify_file_view(marked.pid) == identify_file_view() != ""


async def test_they_are_ended_but_not_who_asks(
    marked: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "find_marked", lambda: {str(tmp_path): [marked.pid, os.getpid()]})
    assert await end_members(tmp_path, within=30.0) == []
    assert marked.wait(30) == -9


def test_what_needs_more_files_than_there_may_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (200, 200))
    check_limits(servers=10, relays=20)
    with pytest.raises(MissingError, match=r"of 50 servers needs about \d+ open files and may have 200"):
        check_limits(servers=50, relays=100)
