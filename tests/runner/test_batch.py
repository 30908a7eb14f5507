"""What happens with several topologies when something goes wrong on one of them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.cli.entry_point import run
from lab.errors import MissingError, NotReady, PeerError
from lab.plan.build import build
from lab.runner import batch
from lab.runner.batch import BatchResult
from lab.runner.scenarios import ScenarioInfo
from lab.runtime.debian import libraries
from lab.topology.files import load, make_absolute
from lab.topology.spec import Topology
from tests.plan.test_build import PROCESSES

#: What the lab of each topology does: raised at its start, after its scenarios, or nothing.
Wrong = dict[str, tuple[Exception | None, Exception | None]]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMPPLAB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def _staged(monkeypatch: pytest.MonkeyPatch, wrong: Wrong) -> None:
    @contextlib.asynccontextmanager
    async def lab_for(topology: Topology, *_: object) -> AsyncIterator[SimpleNamespace]:
        before, after = wrong.get(topology.name, (None, None))
        if before is not None:
            raise before
        yield SimpleNamespace(runtime=SimpleNamespace(name="processes"), topology=topology.name)
        if after is not None:
            raise after

    async def run_on(lab: SimpleNamespace, info: ScenarioInfo, *_: object, **__: object) -> BatchResult:
        return BatchResult(info.name, lab.topology, "valid", 0, 0.1, None)

    monkeypatch.setattr(batch, "_lab_for", lab_for)
    monkeypatch.setattr(batch, "run_on", run_on)


def test_nothing_is_started_where_the_library_of_an_encryption_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lab.cli.app import app

    async def missing(library: str, package: str) -> str:
        raise MissingError(f"{library} is not on this machine: install {package}")

    started: list[str] = []
    monkeypatch.setattr(libraries, "find_library", missing)
    monkeypatch.setattr(batch, "_lab_for", lambda topology, *_: started.append(topology.name))
    command = ["run", "otr_session", "everyone_writes", "-t", "pair", "--runtime", "processes"]
    assert run(app, command) == 69
    assert "otr cannot be used: libotr.so.5 is not on this machine: install libotr5" in capsys.readouterr().err
    assert run(app, ["attacks", "--encryption", "otr", "--runtime", "processes"]) == 69
    load = ["-t", "pair", "--runtime", "processes", "--encryption", "otr", "--rate", "5/s", "--users", "4"]
    assert run(app, ["load", "neighbours", *load]) == 69
    assert run(app, ["study", *load]) == 69
    assert started == [] and not Path("runs").exists()


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ((None, None), 0),
        ((PeerError("it said no"), None), 70),
        ((ZeroDivisionError("ours"), None), 70),
        ((None, PeerError("it does not end")), 70),
        ((NotReady("it did not come up", ()), None), 3),
    ],
)
def test_the_others_are_run_all_the_same(
    wrong: tuple[Exception | None, Exception | None], code: int, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from lab.cli.app import app

    _staged(monkeypatch, {"pair": wrong})
    assert run(app, ["run", "everyone_writes", "-t", "pair", "-t", "line:3"]) == code
    told = capsys.readouterr()
    assert "everyone_writes  line" in told.out
    assert str(wrong[0] or wrong[1] or "") in told.err


def test_what_the_machine_lacks_ends_all(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from lab.cli.app import app

    _staged(monkeypatch, {"pair": (MissingError("no memory"), None)})
    assert run(app, ["run", "everyone_writes", "-t", "pair", "-t", "line:3"]) == 69
    assert "line" not in capsys.readouterr().out


def test_a_scenario_runs_on_the_topology_that_it_names_unless_another_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from lab.cli.app import app

    file = tmp_path / "mine.py"
    file.write_text(
        "from lab import scenario\n"
        "@scenario(topology='line:3')\nasync def first(federation): ...\n"
        "@scenario(topology='mixed-pair')\nasync def second(federation): ...\n"
    )
    _staged(monkeypatch, {})
    assert run(app, ["run", str(file)]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[2:4]] == [
        ["first", "line-3"],
        ["second", "mixed-pair"],
    ]
    assert run(app, ["run", str(file), "-t", "pair"]) == 0
    assert capsys.readouterr().out.count("pair ") == 2


def test_one_that_names_none_wants_a_lab_that_is_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lab.cli.app import app

    _staged(monkeypatch, {})
    assert run(app, ["run", "everyone_writes"]) == 64
    assert "no lab is up" in capsys.readouterr().err


def test_for_programs_only_json_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from lab.cli.app import app

    _staged(monkeypatch, {})
    assert run(app, ["run", "everyone_writes", "-t", "pair", "-t", "line:3", "-f", "json"]) == 0
    assert capsys.readouterr().out == "[]\n"  # no run is judged here


MINE = "name: mine\nteaches: Two servers.\nservers: {a: {}, b: {}}\nlinks: [{between: [a, b], latency: 5ms}]\n"


def test_a_run_on_a_lab_that_is_named_can_be_repeated_on_an_equal_one(tmp_path: Path) -> None:
    """As long as the topology is what it was; else only that lab has it."""
    mine = tmp_path / "mine lab.yaml"
    mine.write_text(MINE)

    def lab_of(source: str) -> Any:
        plan = build(load("pair,users=6" if not source or source == "pair,users=6" else str(mine)), PROCESSES)
        return SimpleNamespace(name="mine", plan=plan, source=source, runtime=SimpleNamespace(name="processes"))

    made, named = lab_of(make_absolute("mine lab.yaml")), lab_of("pair,users=6")
    assert batch._repeat_on(made) == f"-t '{mine}' --runtime processes"
    assert batch._repeat_on(named) == "-t pair,users=6 --runtime processes"
    assert batch._repeat_on(lab_of("")) == "--name mine", "from Python, say"
    mine.write_text(MINE.replace("5ms", "6ms"))
    assert batch._repeat_on(made) == "--name mine"
    mine.unlink()
    assert batch._repeat_on(made) == "--name mine"
