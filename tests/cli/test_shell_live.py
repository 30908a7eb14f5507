"""A prompt, and scripts, with a federation of real servers: what is there, how it ends, and that nothing is left."""

from __future__ import annotations

import os
import pty
import re
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lab.lifecycle.lab import Lab
from tests.runtimes import mostly_processes

pytestmark = pytest.mark.live

XMPPLAB = [sys.executable, "-m", "lab.cli"]
OWN = ("shell", "-t", "pair,users=0", "--runtime", "processes")
DEADLINE = 120  # seconds

SCRIPT = """
alice, bob = await a.person(NAME), await b.person()
message = await alice.send(bob, "hi")
expect(await message.outcome(), federation.link(a, b).promise)
guest = await a.guest(NAME + "-guest")
print([one.jid for one in (alice, guest)])
"""


def shell(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    argv = [*XMPPLAB, "shell", *words]
    return subprocess.run(argv, input=given, capture_output=True, text=True, timeout=DEADLINE, check=False)


@mostly_processes
@pytest.mark.parametrize("software", ["prosody", pytest.param("ejabberd", marks=pytest.mark.slow)])
async def test_accounts_of_a_script_go_when_it_ends(lab_on: Callable[[str], Awaitable[Lab]], software: str) -> None:
    lab, user = (
        await lab_on("pair" if software == "prosody" else "pair,software=ejabberd+prosody"),
        f"al{secrets.token_hex(3)}",
    )
    script = f"NAME = {user!r}{SCRIPT}"
    done = shell("--name", lab.name, given=script)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"['{user}@a.test', '{user}-guest@a.test']\n" and not done.stderr
    if software == "prosody":
        assert not list((lab.layout.server("a") / "data").rglob(f"{user}*"))
    # The name is free again, and its new account has not the contents of the old one.
    again = shell("--name", lab.name, "-c", f"print(await a.person({user!r})); 1 / 0")
    assert (again.returncode, again.stdout) == (1, f"{user}@a.test\n")
    assert re.search(r"ZeroDivisionError: division by zero\n\Z", again.stderr), again.stderr


@pytest.mark.slow
@mostly_processes
async def test_errors_end_a_script_with_their_exit_codes(lab_on: Callable[[str], Awaitable[Lab]]) -> None:
    lab = await lab_on("pair")
    for code, status, said in (
        ("federation.server('x')", 64, "UserError: no server 'x' in this topology: there are a, b\n"),
        ("import sys; sys.exit(7)", 7, ""),
        ("raise SystemExit('enough')", 1, "enough\n"),
        ("", 0, ""),
    ):
        done = shell("--name", lab.name, "-c", code)
        assert (done.returncode, done.stderr) == (status, said)
    assert shell("--name", lab.name, "-t", "pair", "-c", "1").returncode == 64
    assert shell("--name", "nobody", "-c", "1").returncode == 64


@pytest.mark.slow
@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("code", ["await asyncio.sleep(600)", "while True: pass"])
def test_a_signal_ends_a_script_and_its_lab(number: signal.Signals, code: str) -> None:
    argv = [*XMPPLAB, *OWN, "-c", f"await a.person('al'); print('begun', flush=True)\n{code}"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    process.send_signal(number)
    process.communicate(timeout=DEADLINE)
    assert process.returncode == 128 + number


class Prompt:
    """`xmpplab shell` on a terminal."""

    def __init__(self) -> None:
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.execve(sys.executable, [*XMPPLAB, *OWN], {**os.environ, "TERM": "dumb"})
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def wait_for(self, text: str) -> None:
        """Return once it shows a text, behind all that was waited for before."""
        deadline = time.monotonic() + DEADLINE
        while text not in self.shown:
            ready, _, _ = select.select([self._terminal], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{text!r} is not shown: {self.shown!r}"
            try:
                self.shown += os.read(self._terminal, 4096).decode(errors="replace")
            except OSError:  # it has ended
                raise AssertionError(f"it ended before {text!r}: {self.shown!r}") from None
        self.shown = self.shown.partition(text)[2]

    def end(self) -> int:
        """Its exit code."""
        while True:  # what it still writes, or it would wait
            try:
                if not os.read(self._terminal, 4096):
                    break
            except OSError:
                break
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._terminal)
        return code


@pytest.mark.slow
def test_a_prompt_awaits_completes_and_outlives_ctrl_c(home: Path) -> None:
    prompt = Prompt()
    prompt.wait_for("Ctrl-D ends")
    prompt.wait_for(">>> ")
    prompt.type("print((await a.person('al')).jid)\n")
    prompt.wait_for("\nal@a.test")
    prompt.type("federa\t.linked_p\t\n")
    prompt.wait_for("(<server a (a.test")
    prompt.type("await asyncio.sleep(600)\n")
    prompt.wait_for("600)")
    prompt.type("\x03")
    prompt.wait_for("KeyboardInterrupt")
    prompt.type("while True: pass\n\n")
    prompt.wait_for("... ")
    prompt.type("\x03")
    prompt.wait_for("KeyboardInterrupt")
    prompt.type("half a line")
    prompt.wait_for("half a line")
    prompt.type("\x03")
    prompt.wait_for("KeyboardInterrupt")
    prompt.type("federation.server('x')\n")
    prompt.wait_for("UserError: no server 'x' in this topology")
    prompt.type("print(6 * 7)\n")
    prompt.wait_for("\n42")
    prompt.wait_for(">>> ")
    prompt.type("\x04")
    assert prompt.end() == 0
    kept = home / "shell-history"
    assert kept.stat().st_mode & 0o777 == 0o600 and "print(6 * 7)" in kept.read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("busy", [False, True], ids=["at the prompt", "while it awaits"])
def test_sigterm_ends_a_prompt_and_its_lab(busy: bool) -> None:
    prompt = Prompt()
    prompt.wait_for(">>> ")
    if busy:
        prompt.type("print('be' + 'gun'); await asyncio.sleep(600)\n")
        prompt.wait_for("begun")
    os.kill(prompt.pid, signal.SIGTERM)
    assert prompt.end() == 128 + signal.SIGTERM
