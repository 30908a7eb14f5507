"""Programs of others in a lab of real servers: curl, openssl, dnspython, a slixmpp that knows its JID only."""

from __future__ import annotations

import json
import os
import pty
import re
import secrets
import select
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lab.lifecycle.lab import Lab
from tests.network.test_service import until
from tests.runtimes import mostly_processes

pytestmark = pytest.mark.live

XMPPLAB = [sys.executable, "-m", "lab.cli"]
ROOT = Path(__file__).parents[2]
NOBODY = 65534
DEADLINE = 120  # seconds

#: Logs in as who it is started as and writes to itself by way of another domain's user; prints what was received.
WRITE = """
import asyncio, os, sys, slixmpp

class Client(slixmpp.ClientXMPP):
    def __init__(self, jid):
        super().__init__(jid, os.environ["XMPPLAB_PASSWORD"])
        loop = asyncio.get_running_loop()
        self.ready, self.body = loop.create_future(), loop.create_future()
        self.add_event_handler("session_start", self.begin)
        self.add_event_handler("message", lambda message: self.body.done() or self.body.set_result(message["body"]))
        self.connect()

    async def begin(self, _):
        self.send_presence()
        self.ready.set_result(None)

async def main():
    alice, other = Client(os.environ["XMPPLAB_JID"]), Client(sys.argv[1])
    for client in (alice, other):
        await asyncio.wait_for(client.ready, 60)
    alice.send_message(sys.argv[1], "by JID alone", mtype="chat")
    print(await asyncio.wait_for(other.body, 60))

asyncio.run(main())
"""
#: curl to the upload host, openssl to the server by its name.
REACH = """
curl -sS -o /dev/null -w '%{http_code}\\n' https://upload.b.test:5281/
openssl s_client -connect b.test:5222 -starttls xmpp -xmpphost b.test -brief -verify_return_error </dev/null 2>&1 |
    grep Verification
"""
#: What GLib asks of the resolver: addresses of a family of which this machine has one.
CONFIGURED = "import socket as s; print(s.getaddrinfo('b.test', 5222, s.AF_INET, flags=s.AI_ADDRCONFIG))"


def xmpplab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*XMPPLAB, *words], capture_output=True, text=True, timeout=DEADLINE, check=False)


def good(*words: str) -> str:
    done = xmpplab(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


@mostly_processes
async def test_programs_need_a_jid_and_a_password_only(lab_on: Callable[[str], Awaitable[Lab]]) -> None:
    lab = await lab_on("pair")
    alice, bob = f"alice{secrets.token_hex(3)}", f"bob{secrets.token_hex(3)}"
    for name, server in ((alice, "a"), (bob, "b.test")):
        assert "--as" in good("person", f"{name}@{server}", "--name", lab.name)
    lab_words = ("with", "--name", lab.name)
    shown = good(*lab_words, "--as", f"{alice}@a", "--home", "--", sys.executable, "-c", WRITE, f"{bob}@b.test")
    assert shown == "by JID alone\n"
    assert good(*lab_words, "--", "sh", "-c", REACH).split() == ["200", "Verification:", "OK"]
    assert good(*lab_words, "--", sys.executable, "-c", CONFIGURED).startswith("[")
    again = xmpplab("person", f"{alice}@a.test", "--name", lab.name)
    assert again.returncode == 64 and again.stderr.count("\n") == 1
    accounts = json.loads(good("env", "--name", lab.name, "-f", "json"))["servers"][0]["accounts"]
    assert f"{alice}@a.test" in accounts


@pytest.mark.slow
@pytest.mark.parametrize("software", ["prosody", "ejabberd", "prosody@0.12", "ejabberd@23.01"])
@pytest.mark.parametrize("password", [(), ("--password", "s3cret'x")], ids=["the lab's", "its own"])
def test_accounts_of_every_software_can_log_in(software: str, password: tuple[str, ...]) -> None:
    name = f"with-{secrets.token_hex(3)}"
    good("up", f"pair,software={software}", "--name", name, "--runtime", "processes")
    try:
        good("person", "alice@a", "--name", name, *password)
        good("person", "bob@b", "--name", name, *password)
        words = ("with", "--name", name, "--as", "alice@a", "--", sys.executable, "-c", WRITE, "bob@b.test")
        assert good(*words) == "by JID alone\n"
    finally:
        good("down", name)


OWN = ("with", "-t", "pair,users=0", "--runtime", "processes", "--as", "alice@a", "--")


@pytest.mark.slow
def test_the_exit_code_is_the_programs_and_its_lab_is_gone(home: Path) -> None:
    done = xmpplab(*OWN, "sh", "-c", "getent hosts b.test; echo $XMPPLAB_JID; exit 7")
    assert done.returncode == 7 and done.stdout.split()[1:] == ["b.test", "alice@a.test"], done.stderr
    assert xmpplab(*OWN, "no-such-program").returncode == 64
    assert xmpplab(*OWN, "sh", "-c", "kill -KILL $$").returncode == 128 + signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_passed_on_to_the_program(home: Path, number: signal.Signals) -> None:
    script = "trap 'echo caught; exit 3' INT TERM HUP; echo started; while :; do sleep 0.1; done"
    process = subprocess.Popen([*XMPPLAB, *OWN, "sh", "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "started\n"
    process.send_signal(number)
    assert (process.communicate(timeout=DEADLINE)[0], process.returncode) == ("caught\n", 3)


@pytest.mark.slow
def test_ctrl_c_on_a_terminal_reaches_the_program_once(home: Path) -> None:
    script = "import signal, time\ncaught = []\nsignal.signal(2, lambda *_: caught.append(1))\n"
    script += "print('begun', flush=True)\nwhile not caught: time.sleep(0.1)\n"
    script += "time.sleep(1)\nprint('caught', len(caught), flush=True)"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [*XMPPLAB, *OWN, sys.executable, "-c", script])
    shown = b""
    while b"begun" not in shown:
        shown += os.read(terminal, 4096)
    os.write(terminal, b"\x03")
    while not re.search(rb"caught \d", shown):
        shown += os.read(terminal, 4096)
    assert b"caught 1" in shown
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else too")
def test_an_ordinary_user_needs_no_root(home: Path) -> None:
    os.chown(home, NOBODY, NOBODY)
    paths = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    environment = {
        **{"PATH": "/usr/bin:/bin", "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        **{name: os.environ[name] for name in ("XMPPLAB_HOME", "XMPPLAB_CACHE")},
        "PYTHONPATH": os.pathsep.join(paths),
    }
    python = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    if not Path(python).exists():
        pytest.skip(f"there is no {python} that every user may start")
    words = [python, "-P", "-m", "lab.cli", *OWN, "sh", "-c", f"id -u; {REACH}"]
    ids = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    done = subprocess.run(
        words, cwd="/", env=environment, capture_output=True, text=True, timeout=DEADLINE, check=False, **ids
    )
    assert done.stdout.split() == [str(NOBODY), "200", "Verification:", "OK"], done.stderr


@pytest.mark.slow
def test_killed_it_leaves_neither_lab_nor_program(home: Path) -> None:
    process = subprocess.Popen(
        [*XMPPLAB, *OWN, "sh", "-c", "echo $$; exec sleep 600"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    handle = os.pidfd_open(int(process.stdout.readline()))
    process.kill()
    process.wait(DEADLINE)
    process.stdout.close()
    with open(handle, closefd=True) as program:  # noqa: PTH123 - a descriptor
        assert select.select([program], [], [], DEADLINE)[0], "the program still runs"
    until(lambda: not list((home / "labs").iterdir()))
