"""The runtime `containers` with a real engine: up, asked, ended, and nothing left however it ends."""

import asyncio
import contextlib
import errno
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import docker
import pytest

from lab.errors import NotReady, UserError
from lab.lifecycle import down
from lab.lifecycle import up as labs
from lab.lifecycle.cleanup import sweep
from lab.plan.layout import Layout, find_home
from lab.runtime.containers import agents, engine
from lab.runtime.containers.image_specs import find_server_image
from lab.runtime.server_files import write_servers
from lab.topology.spec import Custom, Link, Server, Topology

pytestmark = [pytest.mark.containers, pytest.mark.live]

SOFTWARE = {"prosody": "13.0", "ejabberd": "24.12"}
PATIENCE = 60.0  # seconds for something that takes 1

#: Brings up a lab of N servers without links in a process of its own: `python -c OWNER N owned|kept`.
OWNER = """
import asyncio, sys
from lab.lifecycle import up as lab
from lab.topology.spec import Server, Topology
servers = tuple(Server(f"s{i}", f"s{i}.lab.test", "prosody", "13.0") for i in range(int(sys.argv[1])))
async def main():
    told, owned = lambda text: print(text, flush=True), sys.argv[2] == "owned"
    made = await lab.up(Topology("own", "", servers, ()), runtime="containers", owned=owned, progress=told)
    print("up", flush=True)
    await asyncio.sleep(120)
asyncio.run(main())
"""

#: Brings up a pair whose people are placed alone, and three of them: `python -c PEOPLE owned|kept`.
PEOPLE = """
import asyncio, sys
from lab.federation import Federation
from lab.history.recorder import Recorder
from lab.lifecycle import up as lab
from lab.topology.files import load
async def main():
    topology = load("pair,placement=each,name=apart")
    made = await lab.up(topology, runtime="containers", owned=sys.argv[1] == "owned")
    with Recorder(made.layout.root / "history.jsonl") as recorder:
        async with Federation(made, recorder) as federation:
            await asyncio.gather(*(federation.server("a").person(devices=2) for _ in range(3)))
            print("up", flush=True)
            await asyncio.sleep(120)
asyncio.run(main())
"""


def federation(*software: str, name: str = "pair", **values) -> Topology:
    servers = tuple(
        Server(f"s{i}", f"s{i}.lab.test", kind, SOFTWARE[kind], **values) for i, kind in enumerate(software)
    )
    links = tuple(Link(a.name, b.name) for a, b in itertools.pairwise(servers))
    return Topology(name, "", servers, links)


@pytest.fixture(scope="module")
def own_home(tmp_path_factory):
    """A home of this module's own, so that nobody's labs are touched; what was fetched and built is shared."""
    shared = find_home() / "cache"
    shared.mkdir(parents=True, exist_ok=True)
    folder = tmp_path_factory.mktemp("home")
    (folder / "cache").symlink_to(shared)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XMPPLAB_HOME", str(folder))
        yield folder
    assert left(folder) == []


@pytest.fixture(scope="module")
async def pair(own_home):
    made = await labs.up(federation("prosody", "prosody", users=1), runtime="containers")
    yield made
    await made.down()


@pytest.fixture(scope="module")
def client():
    with contextlib.closing(docker.from_env()) as made:
        yield made


def left(folder) -> list[str]:
    """Everything in the engine of any lab below this home."""
    with contextlib.closing(docker.from_env()) as client:
        filters = {"label": engine.LAB}
        found = client.api.containers(all=True, filters=filters) + client.api.networks(filters=filters)
    return [one["Labels"][engine.LAB] for one in found if one["Labels"][engine.LAB].startswith(str(folder))]


def find_agents(client, folder) -> list[dict]:
    """The agents of any lab below this home."""
    found = client.api.containers(all=True, filters={"label": [f"{engine.ROLE}=agent"]})
    return [one for one in found if one["Labels"][engine.LAB].startswith(str(folder))]


async def until(what, patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not await asyncio.to_thread(what):
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.05)


async def test_no_server_runs_before_its_folder_is_written(own_home, client, monkeypatch):
    """The engine has started it by then, and it waits."""
    write, seen = write_servers, []

    async def late(layout: Layout, *rest) -> None:
        container = engine.build_name(layout, "s0")
        await until(lambda: (Layout(layout.root / "services").started / "s0").exists())
        seen.extend(command for *_, command in client.api.top(container, ps_args="-eo pid,args")["Processes"])
        assert not list(layout.server("s0").iterdir())
        await write(layout, *rest)

    monkeypatch.setattr(labs, "write_servers", late)
    made = await labs.up(federation("prosody", name="gated"), runtime="containers")
    try:
        assert seen and not any(command.startswith(("prosody", "lua")) for command in seen), seen
        assert (await made.read_states())["s0"].running
    finally:
        await made.down()


async def test_a_foreign_container_on_its_network_is_named_and_left_alone(own_home, client):
    """The engine removes no network that a container is on; the lab ends once that has left it."""
    image = find_server_image("prosody", "13.0").tag
    made = await labs.up(federation("prosody", name="visited"), runtime="containers")
    guest = None
    try:
        network = engine.build_name(made.layout)
        guest = await asyncio.to_thread(
            client.containers.run, image, ["sleep", "600"], entrypoint=[], network=network, detach=True
        )
        how = f"docker network disconnect {network} {guest.name}"
        for _ in range(2):
            with pytest.raises(UserError, match=rf"container {guest.name} is on the network of visited .*`{how}`"):
                await made.down()
        await asyncio.to_thread(guest.reload)
        assert guest.status == "running"
        assert left(own_home).count(str(made.layout.root)) == 1, "its network"
        await asyncio.to_thread(client.networks.get(network).disconnect, guest)
        await made.down()
        assert str(made.layout.root) not in left(own_home)
        assert not made.layout.root.exists()
    finally:
        if guest is not None:
            await asyncio.to_thread(guest.remove, force=True, v=True)
        await made.down()


async def test_files_that_cannot_be_written_leave_nothing(own_home, monkeypatch):
    async def full(*_) -> None:
        await asyncio.sleep(0.2)  # some containers are there by now
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(labs, "write_servers", full)
    with pytest.raises(OSError, match="No space left"):
        await labs.up(federation("prosody", "prosody", name="full"), runtime="containers")
    assert not Layout.of("full").root.exists()
    assert not [one for one in left(own_home) if one.endswith("/full")]


async def test_states_tell_of_each_server(pair):
    states = await pair.read_states()
    assert list(states) == ["s0", "s1"]
    assert all(state.running and Path(f"/proc/{state.pid}").exists() for state in states.values())


async def test_up_again_with_the_same_plan_has_nothing_to_do(pair):
    before = {name: state.pid for name, state in (await pair.read_states()).items()}
    again = await labs.up(pair.plan.topology, runtime="containers")
    assert again.plan == pair.plan
    assert {name: state.pid for name, state in (await again.read_states()).items()} == before


async def test_exec_runs_beside_the_server_and_gives_its_exit_code(pair, capfd):
    code = await pair.execute("s1", ["sh", "-c", "hostname -i; id -u; echo wrong >&2; exit 7"])
    out, err = capfd.readouterr()
    assert code == 7
    assert out.split() == [pair.plan.server("s1").address, engine.get_server_user().partition(":")[0]]
    assert err == "wrong\n"


async def test_exec_knows_the_servers_own_tools_and_says_what_is_not_there(pair, capfd):
    assert await pair.execute("s1", ["prosodyctl", "status"]) == 0
    assert "is running" in capfd.readouterr().out
    with pytest.raises(UserError, match="nosuch: not found"):
        await pair.execute("s1", ["nosuch"])


async def test_a_server_has_no_way_out_and_cannot_change_itself(pair, capfd):
    script = (
        "touch /usr/x 2>/dev/null && echo writable; ls /lab-modules >/dev/null || echo lost;"
        " grep CapBnd /proc/self/status; getent hosts example.org || echo closed"
    )
    await pair.execute("s0", ["sh", "-c", script])
    assert capfd.readouterr().out.split() == ["CapBnd:", "0" * 16, "closed"]


async def test_accounts_are_the_servers_own_and_private(pair):
    await pair.create_accounts("s0", ["late"])
    found = list(pair.layout.server("s0").rglob("late.dat"))
    assert len(found) == 1
    assert found[0].stat().st_mode & 0o077 == 0
    assert f"{found[0].stat().st_uid}:{found[0].stat().st_gid}" == engine.get_server_user()


async def test_what_servers_say_is_in_their_folders_and_private(pair):
    for name in ("output.log", "feed.jsonl", "ready.jsonl"):
        assert (pair.layout.server("s0") / name).stat().st_mode & 0o077 == 0


async def test_the_agent_answers_and_ends_with_its_input(pair, client):
    pipes = await pair.start_agent()
    pipes.writer.write(b'{"id": 1, "op": "hello"}\n')
    assert b'"protocol":1' in await asyncio.wait_for(pipes.reader.readline(), PATIENCE)
    await pipes.close()
    assert (
        client.api.containers(all=True, filters={"label": [f"{engine.LAB}={pair.layout.root}", f"{engine.ROLE}=agent"]})
        == []
    )


async def test_an_agents_output_comes_whole_and_its_errors_apart(pair, capsys):
    program = "import sys\nfor line in sys.stdin: sys.stderr.write('seen'); print(line.upper(), end='', flush=True)"
    pipes = await agents.start_in_container(pair.runtime._engine, pair.layout, ("python3", "-c", program))
    long = "x" * 1_000_000
    pipes.writer.write(f"short\n{long}\n".encode())
    assert await asyncio.wait_for(pipes.reader.readline(), PATIENCE) == b"SHORT\n"
    assert await asyncio.wait_for(pipes.reader.readline(), PATIENCE) == long.upper().encode() + b"\n"
    await pipes.close()
    assert await pipes.reader.read() == b""
    assert "seen" in capsys.readouterr().err


async def test_an_agent_of_the_users_own_reaches_a_server(pair):
    program = "import socket, sys; socket.create_connection((sys.stdin.readline().strip(), 5222), 5); print('reached')"
    pipes = await pair.start_agent([sys.executable, "-c", program])
    pipes.writer.write(f"{pair.plan.server('s1').address}\n".encode())
    assert await asyncio.wait_for(pipes.reader.readline(), PATIENCE) == b"reached\n"
    await pipes.close()


async def test_two_labs_at_once_and_ending_one_leaves_the_other(pair):
    other = await labs.up(federation("prosody", "ejabberd", name="other", users=1), runtime="containers")
    try:
        assert other.plan.facts.network != pair.plan.facts.network
        await other.create_accounts("s1", ["late"])  # through ejabberd's own interface
    finally:
        await other.down()
    assert not other.layout.root.exists()
    assert left(other.layout.root) == []
    assert all(state.running for state in (await pair.read_states()).values())


async def test_a_server_that_does_not_start_shows_what_it_said(own_home):
    image = find_server_image("prosody", "13.0").tag
    custom = Custom("broken", command=("sh", "-c", "echo no licence found; exit 3"), image=image)
    topology = Topology("broken", "", (Server("s0", "s0.lab.test", "custom", "", custom=custom),), ())
    with pytest.raises(NotReady, match="exit code 3") as caught:
        await labs.up(topology, runtime="containers")
    assert "no licence found" in str(caught.value)
    assert left(own_home / "labs" / "broken") == []


async def test_a_cancelled_up_leaves_nothing(own_home):
    started = asyncio.Event()

    def progress(text: str) -> None:
        if text.startswith("1 of 4"):
            started.set()

    topology = federation(*["prosody"] * 4, name="cancelled")
    task = asyncio.create_task(labs.up(topology, runtime="containers", progress=progress))
    await asyncio.wait_for(started.wait(), PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left(own_home / "labs" / "cancelled") == []
    assert not Layout.of("cancelled").root.exists()


@pytest.mark.parametrize("moment", ["1 of 3 servers started", "up"])
async def test_an_owned_lab_ends_with_its_killed_owner(own_home, moment):
    with owner(3, "owned") as process:
        await wait_for_line(process, moment)
        process.kill()
    await until(lambda: not left(own_home / "labs" / "own-") and not list((own_home / "labs").glob("own-*")))


@pytest.mark.slow
async def test_people_in_containers_of_their_own_end_with_their_killed_script(own_home, client):
    """Those of an owned lab end with it; those of a lab that stays, at the end of their input."""
    for kind in "owned", "kept":
        with start(PEOPLE, kind) as process:
            try:
                await wait_for_line(process, "up")
                found = find_agents(client, own_home)
                networks = [network for one in found for network in one["NetworkSettings"]["Networks"].values()]
                assert len({network["IPAddress"] for network in networks}) == len(networks) == 3
                written = [Path(mount["Source"]) for one in found for mount in one["Mounts"] if mount["RW"]]
                assert sorted(path.name for path in written) == ["alice", "bob", "carol"], "nobody else's keys"
            finally:
                process.kill()
        await until(lambda: not find_agents(client, own_home))
        if kind == "owned":
            await until(lambda: not left(own_home / "labs" / "apart-"))
    assert left(own_home / "labs" / "apart")
    assert await down.down("apart") == "apart"
    assert left(own_home / "labs" / "apart") == []


async def test_a_killed_up_is_swept(own_home):
    with owner(3, "kept") as process:
        await wait_for_line(process, "1 of 3 servers started")
        process.kill()
    assert left(own_home / "labs" / "own")
    assert any("own" in line for line in await sweep())
    assert left(own_home / "labs" / "own") == []
    assert not (own_home / "labs" / "own").exists()


async def test_ctrl_c_ends_an_owned_lab_and_its_reaper(own_home):
    with owner(1, "owned") as process:
        await wait_for_line(process, "up")
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all in the foreground
        await asyncio.to_thread(process.wait, PATIENCE)
    await until(lambda: not left(own_home / "labs" / "own-") and not list((own_home / "labs").glob("own-*")))


def owner(servers: int, kind: str) -> subprocess.Popen[str]:
    return start(OWNER, str(servers), kind)


def start(program: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


async def wait_for_line(process: subprocess.Popen[str], wanted: str) -> None:
    def read() -> None:
        for line in process.stdout:
            if line.strip() == wanted:
                return
        raise AssertionError(f"it ended before it said {wanted!r}")

    await asyncio.wait_for(asyncio.to_thread(read), PATIENCE)
