"""One server pings another: who asks, what is shown of the way, and what it ends with."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lab.errors import UserError
from lab.lifecycle.lab import Lab
from lab.lifecycle.up import up
from lab.runner.pings import NO_ANSWER, PingSeries, ping
from lab.topology.files import load
from tests.runtime.own_server import description
from tests.runtimes import mostly_processes

pytestmark = pytest.mark.live

LabOn = Callable[[str], Awaitable[Lab]]

#: `a` and `c` have no link; `s` is a script, `c` a server that the lab does not know.
TOPOLOGY = """
name: pinged
teaches: Servers that ping each other in every way.
servers:
  a: {software: prosody@0.12}
  b: {software: ejabberd@23.01}
  c: {software: ./mine.yaml, users: 1}
  s: {software: scripted}
links: [{between: [a, b], latency: 300ms}, {between: [b, c]}, {between: [b, s]}]
"""


async def pinged(lab: Lab, source: str, target: str, count: int = 1, within: float = 60.0) -> tuple[PingSeries, str]:
    shown: list[str] = []
    series = await ping(
        lab, source, target, count=count, interval=0.01, within=within, show=lambda line: shown.append(str(line))
    )
    return series, "\n".join(shown)


@mostly_processes
@pytest.mark.parametrize(
    "topology",
    ["pair", pytest.param("pair,software=ejabberd+prosody", marks=pytest.mark.slow)],
)
async def test_each_step_of_pings_is_shown(lab_on: LabOn, topology: str) -> None:
    series, shown = await pinged(await lab_on(topology), "a", "b.test", count=2)
    assert (series.by, len(series.answered)) == ("server", 2)
    wanted = [
        r"ping 1: a\.test asks b\.test", r"a passes on to b\.test: the ping", r"b receives from a\.test: the ping",
        r"b passes on to a\.test: the answer", r"ping 1: b\.test answers after", r"\+0\.0 ms  ping 2: a\.test asks",
        r"ping 2: b\.test answers after [0-9.]+ ms",
    ]  # fmt: skip
    assert re.search(".*".join(wanted), shown, re.DOTALL), shown
    assert re.search(r"a (opens|had opened) a stream to b\.test: TLS\S*, authenticated by EXTERNAL", shown), shown
    assert series.milliseconds["min"] <= series.milliseconds["median"] <= series.milliseconds["max"]


@pytest.mark.slow
async def test_every_software_pings_in_its_way(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(await description())
    (tmp_path / "pinged.yaml").write_text(TOPOLOGY)
    lab = await up(load(tmp_path / "pinged.yaml"), runtime="processes", owned=True)
    try:
        for source, target, by in (
            ("a", "b", "server"), ("b", "a", "server"), ("b", "s", "server"), ("s", "b", "script"),
            ("c", "b", "user1@c.test"), ("b", "c", "server"), ("b", "conference.a.test", "server"),
        ):  # fmt: skip
            series, shown = await pinged(lab, source, target)
            assert series.by == by and len(series.answered) == 1, shown
            if {source, target} == {"a", "b"}:  # 300 ms there, 300 ms back
                assert series.milliseconds["min"] >= 600 and "the answer" in shown, shown
        series, shown = await pinged(lab, "a", "c")
        assert [one.condition for one in series.pings] == ["not-allowed"] and not series.milliseconds
        assert "not reached: not-allowed" in shown
        for source, target in (("a", "a.test"), ("a", "conference.a.test"), ("a", "x")):
            with pytest.raises(UserError):
                await pinged(lab, source, target)
    finally:
        await lab.down()


@pytest.mark.slow
@pytest.mark.parametrize("software", ["prosody", "ejabberd"])
async def test_who_does_not_answer_in_time_is_said(software: str) -> None:
    """The other server is stopped (SIGSTOP) once its streams are open."""
    lab = await up(load(f"pair,software={software}"), runtime="processes", owned=True)
    try:
        await pinged(lab, "a", "b")
        async with lab.open_control() as control:
            await control.call("signal", server="b", signal="SIGSTOP")
            try:
                series, shown = await pinged(lab, "a", "b", within=0.7)
            finally:
                await control.call("signal", server="b", signal="SIGCONT")
        assert [one.condition for one in series.pings] == [NO_ANSWER], shown
        assert series.pings[0].seconds >= 0.7 and "has not answered after" in shown
    finally:
        await lab.down()


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["processes"], indirect=True, scope="session")
async def test_the_command_says_it_in_json_and_with_its_exit_code(lab_on: LabOn) -> None:
    lab = await lab_on("line:3")

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "lab.cli", "ping", *words, "--name", lab.name]
        return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)

    done = command("s1", "s2", "-c", "2", "-i", "20ms", "-f", "json")
    told = json.loads(done.stdout)
    assert done.returncode == 0 and (told["sent"], told["answered"], told["by"]) == (2, 2, "server")
    assert [one["answered"] for one in told["pings"]] == [True, True] and len(told["steps"]) >= 4
    done = command("s1", "s3", "-c", "1")
    assert done.returncode == 1 and "0 of 1 answered\nwhat this route promises of a message: bounced" in done.stdout
