"""Metering: what the kernel says a process used, its children included, and no file left open."""

import asyncio
import builtins
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.errors import MissingError
from lab.load.metrics import resources
from lab.load.metrics.resources import (
    ProcessMeter,
    UsageSeries,
    read_link_bytes,
    read_machine_cpu_seconds,
    subtract_readings,
)
from lab.network.control import Control, ControlServer

#: Uses so many CPU seconds, says how many it used, and waits for its standard input to close.
BUSY = """
import sys, time
ballast = bytearray(32 << 20)
while time.process_time() < float(sys.argv[1]):
    pass
print(time.process_time(), flush=True)
sys.stdin.read()
"""
#: Starts one that is busy, and waits for it.
PARENT = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', *sys.argv[1:]]))"


@contextmanager
def _running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait(30)


def _until_busy(process: subprocess.Popen[str]) -> float:
    return float(process.stdout.readline())


def test_cpu_and_memory_of_a_busy_process() -> None:
    with _running(BUSY, "0.6") as process, ProcessMeter({"one": {process.pid}}) as meter:
        used = _until_busy(process)
        cpu, rss = meter.read()["one"]
        assert cpu == pytest.approx(used, rel=0.1)
        assert rss > 32 << 20
        time.sleep(0.05)
        assert meter.read()["one"][0] == pytest.approx(cpu, abs=0.03), "waiting costs nothing"


def test_children_count_and_what_ended_still_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "SCAN_INTERVAL", 0.0)
    with _running(PARENT, BUSY, "0.5") as process, ProcessMeter({"all": {process.pid}}) as meter:
        used = _until_busy(process)
        before = meter.read()["all"]
        assert before[0] >= used - 0.02, "the child's share"
        process.stdin.close()
        process.wait(30)
        cpu, rss = meter.read()["all"]
        assert cpu >= before[0]
        assert rss == 0


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_files_are_closed() -> None:
    before = _open_files()
    with ProcessMeter({"me": {os.getpid()}}) as meter:
        meter.read()
        assert _open_files() > before
    assert _open_files() == before


def test_a_process_of_elsewhere_is_said() -> None:
    with pytest.raises(MissingError, match="hub: there is no process 4194304 here"):
        ProcessMeter({"hub": {2**22}})


def test_readings_over_time() -> None:
    times = iter([10.0, 11.0])
    with ProcessMeter({"me": {os.getpid()}}) as meter:
        series = UsageSeries(meter, start=9.5, clock=lambda: next(times))
        series.take()
        series.take()
    assert [reading.at for reading in series.usage["me"]] == [0.5, 1.5]
    assert series.usage["me"][0].cpu <= series.usage["me"][1].cpu


def test_a_reading_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Descriptors are kept: a reading each second costs nothing that would be seen."""

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("something was opened, or a folder listed")

    with ProcessMeter({"me": {os.getpid()}}) as meter:
        meter.read()
        for module, name in ((os, "open"), (io, "open"), (builtins, "open"), (os, "listdir"), (os, "scandir")):
            monkeypatch.setattr(module, name, opened)
        assert meter.read()
        with pytest.raises(AssertionError, match="was opened"):  # the first one does
            ProcessMeter({"me": {os.getpid()}}).read()


async def test_bytes_of_links(tmp_path: Path) -> None:
    async def status(_: dict[str, object]) -> dict[str, object]:
        await asyncio.sleep(0)
        relays = [("a", "b", 100, 10), ("b", "a", 7, 3)]
        names = ("source", "target", "bytes", "answer_bytes")
        return {"relays": [dict(zip(names, relay, strict=True)) for relay in relays]}

    server = ControlServer(tmp_path / "control.sock", {"status": status})
    await server.listen()
    try:
        async with Control(tmp_path / "control.sock") as control:
            found = await read_link_bytes(control)
    finally:
        await server.close()
    assert found == {"a->b": 103, "b->a": 17}, "answers belong to whom they come from"
    assert subtract_readings({"a->b": 3}, found) == {"a->b": 100, "b->a": 17}


def test_the_machine_spends_what_we_spend() -> None:
    before, own = read_machine_cpu_seconds(), time.process_time()
    while time.process_time() - own < 0.2:
        pass
    assert read_machine_cpu_seconds() - before >= 0.15  # both count in hundredths


def test_of_a_group_alone_children_do_not_count() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass\nprint(1, flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", burn], stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        both = {"we": [os.getpid()]}
        with ProcessMeter(both) as meter, ProcessMeter(both, alone=("we",)) as alone:
            assert meter.read()["we"][0] - alone.read()["we"][0] >= 0.25
        child.kill()
