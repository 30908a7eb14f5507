"""The verbs, as far as they need no servers: help, dry runs, lists, bad usage. Golden files in golden/."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.cli.app import VERBS, app
from lab.cli.entry_point import run
from lab.lifecycle.programs import PROGRAMS

GOLDEN = Path(__file__).parent / "golden"
PAIR = """\
name: two
teaches: A link with conditions and a server alone.
unlinked: nxdomain
servers: {a: {users: 2}, b: {}, c: {}}
links: [{between: [a, b], latency: 40ms, rate: 1Mbit/s}, {between: [b, c], direct: true}]
"""


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labs and runs of this test only, and a terminal that is as wide everywhere."""
    monkeypatch.setenv("XMPPLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERMINAL_WIDTH", "100")
    monkeypatch.chdir(tmp_path)


def _golden(name: str, text: str) -> None:
    """Compare with a golden file; with XMPPLAB_GOLDEN=write it is written instead."""
    file = GOLDEN / name
    if os.environ.get("XMPPLAB_GOLDEN") == "write":
        file.write_text(text)
    assert text == file.read_text(), f"{file} differs: if that is meant, run again with XMPPLAB_GOLDEN=write"


def test_help_lists_every_verb_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["--help"]) == 0
    told = capsys.readouterr().out
    assert "..." not in told.partition("Commands:")[2], "a verb's first sentence is too long for the list: shorten it"
    _golden("help.txt", told)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, [verb, "--help"]) == 0
    assert f"Usage: xmpplab {verb} " in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["client", "profile"])
def test_help_names_every_client_program(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, [verb, "--help"]) == 0
    told = capsys.readouterr().out
    assert [name for name in PROGRAMS if name not in "".join(told.split())] == []


@pytest.mark.parametrize(
    ("argv", "option"),
    [
        (["ping", "a", "b", "--interval", "1"], "--interval"),
        (["ping", "a", "b", "--timeout", "1"], "--timeout"),
        (["run", "everyone_writes", "--timeout", "1"], "--timeout"),
        (["up", "pair", "--timeout", "1"], "--timeout"),
    ],
)
def test_a_duration_without_a_unit_is_refused_by_its_option(
    argv: list[str], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(app, argv) == 64
    assert f"{option}: '1' has no unit: write 1ms or 1s" in capsys.readouterr().err


#: What takes a tenth of a second or more to import, and no help needs.
HEAVY = {"cryptography", "docker", "gevent", "locust", "networkx", "pydantic", "requests", "slixmpp", "uvloop"}


def test_help_needs_nothing_heavy() -> None:
    """What it costs is measured in benchmarks/help.py."""
    told = "atexit.register(lambda: print(*sys.modules, file=sys.stderr))"
    code = f"import atexit, sys; {told}; from lab.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "Usage" in done.stdout and "typer" in loaded
    assert not loaded & HEAVY


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from lab import __version__

    assert run(app, ["--version"]) == 0
    assert capsys.readouterr().out == f"xmpplab {__version__}\n"


def test_no_verb_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, []) == 64
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["up"],
        ["up", "no-such-topology"],
        ["up", "ring:6", "--runtime", "cloud"],
        ["up", "missing.yaml", "--dry-run"],
        ["run"],
        ["run", "everyone_writes"],
        ["run", "no_such_scenario", "-t", "ring:3"],
        ["run", "everyone_writes", "-t", "ring:3", "--name", "x"],
        ["run", "everyone_writes", "-t", "ring:3", "--timeout", "5"],
        ["run", "everyone_writes", "-t", "ring:3", "--runtime", "containers", "--inline"],
        ["run", "everyone_writes", "-t", "ring:3,placement=each", "--inline"],
        ["down", ".."],
        ["down", ""],
        ["up", "ring:3", "--name", "a/b"],
        ["down"],
        ["down", "nobody"],
        ["down", "nobody", "--all"],
        ["status", "nobody"],
        ["logs"],
        ["exec", "a", "--", "ls"],
        ["exec", "a"],
        ["load"],
        ["load", "neighbours"],
        ["load", "neighbours", "-t", "pair", "--name", "x"],
        ["load", "neighbors", "-t", "pair"],
        ["load", "mine.py", "-t", "pair"],
        ["load", "neighbours", "-t", "no-such-topology"],
        ["load", "neighbours", "--name", "nobody"],
        ["load", "neighbours", "-t", "pair", "--rate", "0/s"],
        ["load", "neighbours", "-t", "pair", "--rate", "100"],
        ["load", "neighbours", "-t", "pair", "--users", "0"],
        ["load", "neighbours", "-t", "pair", "--users", "1000000"],
        ["load", "neighbours", "-t", "pair", "--users", "2", "--workers", "3"],
        ["load", "neighbours", "-t", "pair", "--rate", "1000000/s"],
        ["load", "neighbours", "-t", "pair", "--for", "0s"],
        ["load", "neighbours", "-t", "pair", "--for", "5"],
        ["load", "neighbours", "-t", "pair", "--arrivals", "poisson"],
        ["load", "neighbours", "-t", "pair", "--bounds", "speed=1"],
        ["load", "neighbours", "-t", "pair", "--find-limit", "max=1s"],
        ["load", "neighbours", "-t", "pair", "--pin", "--workers", "4000", "--users", "5000"],
        ["study"],
        ["study", "-t", "pair", "--software", "scripted"],
        ["study", "-t", "pair", "--load", "nothing-known"],
        ["compare", "no-such-run", "nor-this-one"],
        ["check", "no-such-run"],
        ["report", "no-such-run"],
        ["validate", "missing.yaml"],
        ["graph", "missing.yaml"],
        ["graph", "ring:3", "-o", "ring.png"],
        ["graph", "ring:3", "--svg", "--dot"],
        ["ping", "a"],
        ["ping", "a", "b"],
        ["ping", "a", "b", "--count", "0"],
        ["ping", "a", "b", "--count", "1001"],
        ["ping", "a", "b", "--interval", "1ms"],
        ["ping", "a", "b", "--timeout", "61s"],
    ],
    ids=" ".join,
)
def test_bad_usage_is_64_and_leaves_nothing(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(app, arguments) == 64
    told = capsys.readouterr()
    assert told.err and "Traceback" not in told.err
    assert not (tmp_path / "runs").exists() and not list((tmp_path / "home").glob("labs/*"))


def test_errors_of_a_topology_come_all_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.yaml").write_text("name: bad\nservers: {a: {userz: 1}}\nlinks: [{between: [a, z]}]\n")
    assert run(app, ["up", "bad.yaml", "--dry-run"]) == 64
    told = capsys.readouterr().err
    assert "bad.yaml:2:" in told and "bad.yaml:3:" in told


def test_errors_of_several_topologies_come_all_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\nservers: {{a: {{userz: 1}}}}\n")
    assert run(app, ["run", "everyone_writes", "-t", "one.yaml", "-t", "ring:3", "-t", "two.yaml"]) == 64
    told = capsys.readouterr().err
    assert "one.yaml:2:" in told and "two.yaml:2:" in told


def test_dry_run_as_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "two.yaml").write_text(PAIR)
    assert run(app, ["up", "two.yaml", "--dry-run"]) == 0
    _golden("dry_run.txt", capsys.readouterr().out)
    assert not (tmp_path / "home").exists()


def test_dry_run_as_json_is_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "two.yaml").write_text(PAIR)
    assert run(app, ["up", "two.yaml", "--dry-run", "-f", "json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [server["spec"]["name"] for server in plan["servers"]] == ["a", "b", "c"]
    assert [(relay["source"], relay["target"]) for relay in plan["relays"]] == [("a", "b"), ("b", "a")]


def test_status_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["status"]) == 0
    assert "xmpplab up" in capsys.readouterr().out
    assert run(app, ["status", "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(("good", "code"), [(True, 0), (False, 69)])
def test_doctor_says_what_to_do(
    good: bool, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lab.runtime.containers.runtime import Containers
    from lab.runtime.processes.runtime import Processes
    from lab.runtime.protocol import Prerequisite

    monkeypatch.setattr(
        Containers, "check_prerequisites", lambda self: [Prerequisite("engine", False, "none answers", "start one")]
    )
    monkeypatch.setattr(
        Processes,
        "check_prerequisites",
        lambda self: [Prerequisite("memory", good, "7 MB", "" if good else "buy some")],
    )
    monkeypatch.setattr("lab.system.packet_filter.find_filter_problem", lambda: "" if good else "no packet filter")
    monkeypatch.setattr("lab.system.namespaces.find_problem", lambda: "" if good else "no namespaces")
    monkeypatch.setattr("lab.system.namespaces.describe_remedy", lambda: "start it as root")
    assert run(app, ["doctor"]) == code
    told = capsys.readouterr().out
    assert "containers: engine\n  none answers\n  To do: start one\n" in told
    assert ("To do: buy some" in told) != good
    assert ("Labs can run on this machine with: processes." in told) == good
    assert run(app, ["doctor", "--format", "json"]) == code
    rows = {row["what"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["engine"]["good"], rows["engine"]["what_to_do"]) == (False, "start one")
    assert ("programs: `with` and `client`\n  no namespaces\n  To do: start it as root" in told) != good
    assert rows["`with` and `client`"]["good"] == good
    loss = rows["conditions: loss"]
    assert (loss["good"], loss["found"] == "no packet filter", loss["what_to_do"] is None) == (good, not good, good)


@pytest.mark.parametrize("wrong", ["a file", "closed", "labs closed"])
def test_doctor_says_that_no_lab_can_be_made(
    wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    (home := tmp_path / "home").mkdir()
    monkeypatch.setenv("XMPPLAB_HOME", str(home if wrong == "labs closed" else home / "below"))
    there = home / "labs" if wrong == "labs closed" else home
    if wrong == "a file":
        home.rmdir()
        home.touch()
    else:  # as for who is not root
        there.mkdir(exist_ok=True)
        access = os.access
        monkeypatch.setattr(
            os, "access", lambda path, mode: access(path, mode) and (Path(path) != there or not mode & os.W_OK)
        )
    assert run(app, ["doctor"]) == 69
    told = capsys.readouterr().out
    assert "To do: set XMPPLAB_HOME to a folder of yours" in told and "No lab can run on this machine" in told
    assert run(app, ["doctor", "--format", "json"]) == 69
    rows = {row["what"]: row for row in json.loads(capsys.readouterr().out)}
    assert not rows["folder of labs"]["good"]
    assert (
        rows["folder of labs"]["found"] == f"{there} {'is no folder' if wrong == 'a file' else 'cannot be written to'}"
    )


@pytest.mark.parametrize("verb", ["topologies", "scenarios"])
def test_lists_carry_a_sentence_each(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, [verb, "-f", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows and all(row.get("teaches") or row.get("shows") for row in rows)


def test_logs_of_a_lab(tmp_path: Path) -> None:
    from lab.errors import UserError
    from lab.lifecycle.logs import find_log_files, last_lines
    from lab.plan.layout import Layout
    from lab.servers.conventions import LOG

    file = Layout(tmp_path).server("a") / LOG
    file.parent.mkdir(parents=True)
    file.write_text("one\ntwo\nthree\n")
    labels = {path: label for label, path in find_log_files(tmp_path, ["a", "long"], None)}
    assert labels[file] == "a      "
    assert last_lines([("a", file)], 2, whole=True) == ([("a", "two"), ("a", "three")], {file: 14})
    with file.open("a") as more:
        more.write("half")
    assert last_lines([("a", file)], 2, whole=True) == ([("a", "two"), ("a", "three")], {file: 14})
    assert last_lines([("a", file)], 2, whole=False)[0] == [("a", "three"), ("a", "half")]
    assert last_lines([("a", file)], 0, whole=True) == ([], {file: 14})
    assert [path.parent.name for _, path in find_log_files(tmp_path, ["a", "long"], "long")] == ["long", "long"]
    with pytest.raises(UserError, match="there are: a, long, service"):
        find_log_files(tmp_path, ["a", "long"], "b")
    assert last_lines([("a", tmp_path / "missing")], 5, whole=True) == ([], {})


def test_following_logs_sees_whole_lines_and_new_files(tmp_path: Path) -> None:
    import asyncio

    from lab.lifecycle.logs import follow_files, last_lines

    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("before\n")
    _, ends = last_lines([("o", old), ("n", new)], 5, whole=True)
    with old.open("a") as file:
        file.write("between\n")

    async def seen() -> list[tuple[str, str]]:
        lines = follow_files([("o", old), ("n", new)], ends)
        between = await asyncio.wait_for(anext(lines), 30)
        task = asyncio.ensure_future(anext(lines))
        await asyncio.sleep(0)  # it has looked once
        with old.open("a") as file:
            file.write("half")
        new.write_text("hello\n")
        first = await asyncio.wait_for(task, 30)
        with old.open("a") as file:
            file.write(" and half\n")
        second = await asyncio.wait_for(anext(lines), 30)
        await lines.aclose()
        return [between, first, second]

    assert asyncio.run(seen()) == [("o", "between"), ("n", "hello"), ("o", "half and half")]


async def test_following_logs_ends_with_the_lab_and_shows_its_last_lines(tmp_path: Path) -> None:
    import asyncio
    import os

    from lab.lifecycle.logs import follow_files, goes_on
    from lab.plan.layout import Layout
    from lab.runtime.lab_record import READY, STARTING, LabRecord
    from lab.system.locks import try_lock
    from lab.system.processes import Identity

    layout = Layout(tmp_path)
    record = LabRecord("x", "pair", "processes", STARTING, False, Identity.own(), 1.0)

    async def follow() -> list[str]:
        files = [("service", layout.service_log), ("missing", tmp_path / "missing")]
        lines = follow_files(files, {layout.service_log: 4}, is_up=lambda: goes_on(layout, record))
        return [line async for _, line in lines]

    for end in ("killed", "gone", "another"):
        record.write(layout)
        assert goes_on(layout, record), "it is starting, and its service is not there yet"
        service = try_lock(layout.service_lock)
        assert service is not None
        record.enter_phase(READY).write(layout)
        layout.service_log.write_text("old\n")
        following = asyncio.create_task(follow())
        await asyncio.sleep(0)
        assert goes_on(layout, record) and not following.done()
        with layout.service_log.open("a") as log:
            log.write("last\n")
        if end == "gone":
            layout.state.unlink()
        elif end == "another":
            LabRecord("x", "pair", "processes", READY, False, Identity.own(), 2.0).write(layout)
        else:
            os.close(service)
        assert await asyncio.wait_for(following, 30) == ["last"], end
        if end != "killed":
            os.close(service)


def test_a_topology_is_an_argument_or_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["graph", "pair"]) == 0
    drawn = capsys.readouterr().out
    assert run(app, ["graph", "-t", "pair"]) == 0
    assert capsys.readouterr().out == drawn
    assert run(app, ["up", "--dry-run", "--topology", "pair"]) == 0
    assert capsys.readouterr().out.startswith("pair: ")
    assert run(app, ["validate", "ring:3", "-t", "pair"]) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == ["ring-3", "pair"]
    for arguments, said in ((["graph", "pair", "-t", "ring:3"], "pair and ring:3 are two"), (["up"], "name one")):
        assert run(app, arguments) == 64
        assert said in capsys.readouterr().err
    assert run(app, ["validate"]) == 64
    assert "name a topology" in capsys.readouterr().err


def test_tables_are_aligned_without_trailing_spaces() -> None:
    from lab.system.tables import format_table

    assert format_table(("a", "bbb"), [("xx", 1), ("y", "")]) == "a   bbb\nxx  1\ny"


def test_progress_outside_a_terminal_is_lines(capsys: pytest.CaptureFixture[str]) -> None:
    from lab.cli.output import show_progress

    with show_progress() as progress:
        progress("starting")
        progress("starting")
        progress("[bold]ready")
    assert capsys.readouterr().err == "starting\n[bold]ready\n"


def test_merged_exit_codes() -> None:
    from lab import exit_codes

    assert exit_codes.merge([0, 2, 3, 1, 70]) == 70
    assert exit_codes.merge([0, 2, 3, 1]) == 1
    assert exit_codes.merge([0, 2, 3]) == 3
    assert exit_codes.merge([0, 2]) == 2
    assert exit_codes.merge([0, 0]) == 0
    assert exit_codes.merge([]) == 2
