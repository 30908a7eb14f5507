"""The service as a process: what it starts and answers, and that nothing is left however it ends."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.declarations.links import Conditions
from lab.errors import MissingError, PeerError, UserError
from lab.network.control import Control
from lab.network.lab_folder import is_service_running
from lab.network.operations import OPERATIONS, Operations
from lab.plan.layout import REFUSED_PORT, UNREACHABLE_PORT, Layout
from lab.servers.conventions import OUTPUT
from lab.system.processes import MARK, SERVER_UID, Identity, check_limits, find_members
from lab.topology.spec import Unlinked
from tests.network import labs


def until(condition: Callable[[], bool], patience: float = 60.0) -> None:
    """Return once the condition holds; fails after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "the condition does not hold"
        time.sleep(0.01)


async def ask(layout: Layout, op: str, **fields: Any) -> dict[str, Any]:
    async with Control(layout.control) as control:
        return await control.call(op, **fields)


async def test_it_starts_servers_names_and_links_and_says_so(tmp_path: Path) -> None:
    plan = labs.plan(command=labs.ECHOING)
    layout = labs.folder(tmp_path / "lab", plan)
    with labs.service(layout) as process:
        found = Identity.of(process.pid)
        assert found is not None and json.loads(layout.service.read_text()) == found.to_json()
        assert is_service_running(layout)
        assert stat.S_IMODE(layout.control.stat().st_mode) == 0o600
        status = await ask(layout, "status")
        assert {name: state["running"] for name, state in status["servers"].items()} == {"a": True, "b": True}
        assert [(relay["source"], relay["target"]) for relay in status["relays"]] == [("a", "b"), ("b", "a")]
        reader, writer = await asyncio.open_connection(plan.services, plan.relays[0].port)
        writer.write(b"through")  # held until the server listens
        assert await asyncio.wait_for(reader.readexactly(7), 30) == b"through"
        relay = (await ask(layout, "status"))["relays"][0]
        assert (relay["connections"], relay["open"], relay["bytes"], relay["answer_bytes"]) == (1, 1, 7, 7)
        writer.close()
    assert process.returncode == 0
    assert not is_service_running(layout)
    assert not layout.control.exists()
    assert not layout.service.exists()
    assert find_members(layout.root) == []


async def test_a_server_gets_little_of_our_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_MINE", "x")
    show = "import os, sys; print(sorted(os.environ), os.getcwd(), os.getuid(), sys.stdin.read(), flush=True)"
    plan = labs.plan(names=("a",), links=(), command=(labs.PYTHON, "-S", "-E", "-c", show))
    layout = labs.folder(tmp_path / "lab", plan)
    with labs.service(layout):
        output = layout.server("a") / OUTPUT
        until(lambda: output.exists() and output.read_text().endswith("\n"))
        uid = SERVER_UID if os.geteuid() == 0 else os.geteuid()
        folder = layout.server("a")
        names = ["ADDRESS", "HOME", "LANG", "PATH", MARK]
        assert output.read_text().strip() == f"{names} {folder} {uid}"
        assert stat.S_IMODE(output.stat().st_mode) == 0o600
        assert output.stat().st_uid == uid
        until(lambda: asyncio_status(layout)["servers"]["a"]["exit_code"] == 0)


def asyncio_status(layout: Layout) -> dict[str, Any]:
    """The status, asked without a loop: the protocol is a line each way."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(layout.control))
        connection.sendall(b'{"id": 7, "op": "status"}\n')
        answer = json.loads(connection.makefile().readline())
    assert answer["id"] == 7
    return answer["ok"]


async def test_exit_codes_stop_signal_and_start_again(tmp_path: Path) -> None:
    plan = labs.with_command(labs.plan(), "b", ("sh", "-c", "exit 3"))
    layout = labs.folder(tmp_path / "lab", plan)
    with labs.service(layout):
        until(lambda: not asyncio_status(layout)["servers"]["b"]["running"])
        async with Control(layout.control) as control:
            b = (await control.call("status"))["servers"]["b"]
            assert (b["exit_code"], b["detail"]) == (3, "ended with code 3")
            with pytest.raises(UserError, match="server b does not run"):
                await control.call("signal", server="b", signal="SIGSTOP")
            with pytest.raises(UserError, match="server a runs already"):
                await control.call("spawn", server="a")
            assert await control.call("stop", server="a") == {"exit_code": -signal.SIGTERM}
            pid = (await control.call("spawn", server="a"))["pid"]
            assert Path(f"/proc/{pid}").exists()
            await control.call("signal", server="a", signal="SIGKILL")
            until(lambda: asyncio_status(layout)["servers"]["a"]["exit_code"] == -9)


async def test_a_stubborn_server_is_killed_in_the_end(tmp_path: Path) -> None:
    plan = labs.plan(names=("a",), links=(), command=("sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"))
    layout = labs.folder(tmp_path / "lab", plan)
    with labs.service(layout):
        until(lambda: (layout.server("a") / OUTPUT).read_text() == "up\n")
        assert await ask(layout, "stop", server="a", grace=0.2) == {"exit_code": -signal.SIGKILL}


async def test_a_command_that_is_none_is_told_in_the_status(tmp_path: Path) -> None:
    plan = labs.with_command(labs.plan(), "b", ("/no/such/program",))
    layout = labs.folder(tmp_path / "lab", plan)
    with labs.service(layout):
        servers = asyncio_status(layout)["servers"]
        assert servers["a"]["running"]
        assert "No such file or directory" in servers["b"]["detail"]


async def test_conditions_change_while_the_lab_runs(tmp_path: Path) -> None:
    plan = labs.plan(command=labs.ECHOING)
    layout = labs.folder(tmp_path / "lab", plan)
    with labs.service(layout):
        async with Control(layout.control) as control:
            changed = await control.call("set_link", source="a", target="b", latency=0.05)
            assert changed == {"latency": 0.05, "jitter": 0.0, "rate": None}
            reader, writer = await asyncio.open_connection(plan.services, plan.relays[0].port)
            writer.write(b"x")
            await asyncio.wait_for(reader.readexactly(1), 30)
            begin = time.monotonic()
            writer.write(b"x")
            await reader.readexactly(1)
            assert time.monotonic() - begin > 0.045
            writer.close()
            with pytest.raises(UserError, match="no relay from 'a' to 'z'"):
                await control.call("set_link", source="a", target="z", latency=1)
            with pytest.raises(UserError, match="'latency' must be a number of at least 0, not -1"):
                await control.call("set_link", source="a", target="b", latency=-1)


async def test_questions_can_be_read_and_answers_overridden(tmp_path: Path) -> None:
    import dns.asyncquery
    import dns.message

    plan = labs.plan()
    layout = labs.folder(tmp_path / "lab", plan)
    with labs.service(layout):
        async with Control(layout.control) as control:

            async def address() -> str:
                query = dns.message.make_query("a.test.", "A")
                host, port = plan.servers[0].dns
                answer = await dns.asyncquery.udp(query, host, timeout=30, port=port, source="127.0.0.1")
                return answer.answer[0][0].to_text()

            assert await address() == plan.servers[0].address
            await control.call(
                "override", asker="a", name="a.test", type="A", rcode="NOERROR", records=[["A", "127.1.1.1"]]
            )
            assert await address() == "127.1.1.1"
            await control.call("override", asker="a", name="a.test", type="A", rcode=None)
            assert await address() == plan.servers[0].address
            log = (await control.call("queries", asker="a", limit=2))["queries"]
            assert [query["records"] for query in log] == [[["A", "127.1.1.1"]], [["A", plan.servers[0].address]]]
            assert (await control.call("queries", asker="b"))["queries"] == []
            last = (await control.call("queries", limit=1))["last"]
            assert (await control.call("queries", since=last))["queries"] == []
            assert len((await control.call("queries", since=last - 2))["queries"]) == 2
            with pytest.raises(UserError, match="rcode 'MAYBE' is none of"):
                await control.call("override", name="b.test", type="A", rcode="MAYBE")


async def test_nonsense_on_the_socket_is_answered_and_survived(tmp_path: Path) -> None:
    layout = labs.folder(tmp_path / "lab", labs.plan(names=("a",), links=()))
    with labs.service(layout):
        reader, writer = await asyncio.open_unix_connection(str(layout.control))
        for line, complaint in (
            (b"nonsense\n", "one JSON object"),
            (b"[]\n", "one JSON object"),
            (b'{"op": 1}\n', "unknown op 1"),
        ):
            writer.write(line)
            error = json.loads(await asyncio.wait_for(reader.readline(), 30))["error"]
            assert error["kind"] == "usage"
            assert complaint in error["message"]
        writer.close()
        with pytest.raises(UserError, match=r"unknown op 'dance'; there are .*status"):
            await ask(layout, "dance")


async def test_unreachable_and_refused_ports(tmp_path: Path) -> None:
    plan = labs.plan(unlinked=Unlinked.UNREACHABLE)
    layout = labs.folder(tmp_path / "lab", plan)
    with labs.service(layout):
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.open_connection(plan.services, UNREACHABLE_PORT), 0.3)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(plan.services, REFUSED_PORT)


async def test_shutdown_ends_all(tmp_path: Path) -> None:
    layout = labs.folder(tmp_path / "lab", labs.plan())
    with labs.service(layout) as process:
        assert await ask(layout, "shutdown") == {}
        assert process.wait(30) == 0
        assert layout.root.is_dir()  # who asked for the end deletes
        with pytest.raises(PeerError, match="does not answer"):
            await ask(layout, "status")


#: A server with a helper in a session of its own that would survive it, as ejabberd has some.
HELPED = ("sh", "-c", "setsid sleep 50 & exec sleep 50")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_in_order_helpers_included(tmp_path: Path, number: int) -> None:
    layout = labs.folder(tmp_path / "lab", labs.plan(command=HELPED))
    with labs.service(layout) as process:
        until(lambda: len(find_members(layout.root)) == 5)  # the service, two servers, two helpers
        process.send_signal(number)
        assert process.wait(30) == 0
        assert find_members(layout.root) == []


def test_killed_it_takes_its_servers_with_it(tmp_path: Path) -> None:
    layout = labs.folder(tmp_path / "lab", labs.plan())
    with labs.service(layout) as process:
        process.kill()
        process.wait(30)
        until(lambda: find_members(layout.root) == [])
        assert not is_service_running(layout)
        assert layout.service.exists()  # stale, and known to be


def test_at_its_owners_end_the_lab_is_gone(tmp_path: Path) -> None:
    layout = labs.folder(tmp_path / "lab", labs.plan(command=HELPED))
    reading, writing = os.pipe()
    with labs.service(layout, "--owner-fd", str(reading), keep=(reading,)) as process:
        os.close(reading)
        os.write(writing, b"x")  # only its end counts
        time.sleep(0.1)
        assert process.poll() is None
        os.close(writing)
        assert process.wait(30) == 0
    assert find_members(layout.root) == []
    assert not layout.root.exists()


OWNER = """
import os, subprocess, sys, time
reading, writing = os.pipe()
os.set_inheritable(reading, True)
service = [sys.executable, "-m", "lab.network.service", sys.argv[1], "--owner-fd", str(reading)]
subprocess.Popen(service, pass_fds=(reading,), start_new_session=True, stdin=subprocess.DEVNULL)
os.close(reading)
time.sleep(60)
"""


def test_an_owner_killed_outright_leaves_nothing(tmp_path: Path) -> None:
    layout = labs.folder(tmp_path / "lab", labs.plan(command=HELPED))
    environment = {**os.environ, MARK: str(layout.root)}
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(layout.root)], env=environment)
    try:
        until(layout.control.exists, 20)
        until(lambda: len(find_members(layout.root)) == 6)  # owner, service, two servers, two helpers
    finally:
        owner.kill()
        owner.wait(30)
    until(lambda: not layout.root.exists())
    until(lambda: find_members(layout.root) == [])


def test_a_folder_that_is_no_labs_is_not_deleted(tmp_path: Path) -> None:
    layout = labs.folder(tmp_path / "lab", labs.plan())
    reading, writing = os.pipe()
    with labs.service(layout, "--owner-fd", str(reading), keep=(reading,)) as process:
        os.close(reading)
        layout.state.unlink()
        os.close(writing)
        process.wait(30)
    assert layout.plan.exists()
    assert "is no lab's folder" in layout.service_log.read_text()


def test_reservations_stay_open_as_long_as_it_lives(tmp_path: Path) -> None:
    layout = labs.folder(tmp_path / "lab", labs.plan())
    reservation = socket.socket()
    reservation.bind((f"{labs.loopback()}.0.1", 0))
    address = reservation.getsockname()
    with labs.service(layout, "--reservation-fd", str(reservation.fileno()), keep=(reservation.fileno(),)):
        reservation.close()
        with socket.socket() as rival, pytest.raises(OSError, match="in use"):
            rival.bind(address)
    with socket.socket() as rival:
        rival.bind(address)


async def test_two_labs_do_not_meet(tmp_path: Path) -> None:
    layouts = [labs.folder(tmp_path / name, labs.plan()) for name in ("one", "two")]
    with labs.service(layouts[0]) as first, labs.service(layouts[1]) as second:
        first.terminate()
        first.wait(30)
        assert asyncio_status(layouts[1])["servers"]["a"]["running"]
        assert second.poll() is None


def test_a_second_service_of_a_lab_is_turned_away(tmp_path: Path) -> None:
    layout = labs.folder(tmp_path / "lab", labs.plan())
    with labs.service(layout):
        process, answer = labs.start(layout)
        assert process.wait(30) == 64
        assert process.stderr is not None
        process.stderr.close()
        assert answer["error"] == {"kind": "usage", "message": "a service of the lab lab runs already: end it first"}
        assert asyncio_status(layout)["servers"]["a"]["running"]


def test_an_address_that_is_taken_ends_it_with_what_to_do(tmp_path: Path) -> None:
    plan = labs.plan()
    layout = labs.folder(tmp_path / "lab", plan)
    with socket.create_server((plan.services, plan.relays[0].port)):
        process, answer = labs.start(layout)
        assert process.wait(30) == 69
    assert process.stderr is not None
    process.stderr.close()
    assert answer["error"]["kind"] == "missing"
    assert f"the relay from a to b cannot listen on {plan.services} port 20000" in answer["error"]["message"]
    assert find_members(layout.root) == []


def test_asking_whether_it_lives_does_not_stop_it_from_starting(tmp_path: Path) -> None:
    layout = labs.folder(tmp_path / "lab", labs.plan())
    assert not is_service_running(layout)  # no lock file yet
    with layout.service_lock.open("w") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        process = subprocess.Popen(
            [sys.executable, "-m", "lab.network.service", str(layout.root)], env={**os.environ, MARK: str(layout.root)}
        )
        time.sleep(0.4)
    try:
        until(layout.control.exists)
    finally:
        process.terminate()
        assert process.wait(30) == 0


async def test_a_lab_may_lie_deep(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    layout = labs.folder(deep / "lab", labs.plan(conditions=Conditions(latency=0.01)))
    with labs.service(layout):
        assert (await ask(layout, "status"))["relays"][0]["latency"] == 0.01


def test_it_imports_neither_clients_nor_the_engine_nor_what_its_container_lacks() -> None:
    """In a container it has the libraries of python_libraries.ROOTS only: no parser of topology files, say."""
    program = (
        "import sys, lab.network.service; "
        "bad = {'slixmpp', 'docker', 'networkx', 'typer', 'rich', 'omemo', 'ruamel', 'pydantic'} & sys.modules.keys(); "
        "sys.exit(str(bad) if bad else 0)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_every_operation_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/network.md").read_text()
    for name in OPERATIONS:
        assert f"| `{name}` |" in page, name
        assert getattr(Operations, name).__doc__


def test_too_few_open_files_are_said_before_anything_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    check_limits(servers=10, relays=20)
    with pytest.raises(MissingError, match=r"50 servers needs about 798 open files and may have 256: raise"):
        check_limits(servers=50, relays=100)
