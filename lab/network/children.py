"""The servers of a lab as children of its service (runtime `processes`).

A server dies with the service, however that ends (PR_SET_PDEATHSIG, prctl(2)); it runs in a session of its
own, so that Ctrl-C in a terminal ends a lab in order. As root it runs as nobody's uid. It reads nothing,
writes what it says into its folder, and sees of the environment what it needs and nothing of the caller's.

The signal at a parent's death fires when the thread that spawned ends: spawn from the main thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.errors import PeerError, UserError
from lab.plan.layout import Layout
from lab.plan.model import ServerPlan
from lab.servers.conventions import OUTPUT
from lab.system.processes import MARK, SERVER_UID, kill_members, members

log = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PATH = "/usr/local/bin:/usr/bin:/bin"
STOP_PATIENCE = 3.0  # seconds between SIGTERM and SIGKILL: Prosody needs 0.1, ejabberd 1
KILL_PATIENCE = 5.0  # seconds that killed processes may take to be gone
POLL = 0.02  # seconds between two looks for processes that are no children of ours

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Child:
    """A server's process; `process` is None until it was started first."""

    plan: ServerPlan
    process: subprocess.Popen[bytes] | None = None
    ended: asyncio.Event | None = None
    error: str = ""  # why it could not be started
    ended_at: float | None = None  # seconds since the epoch

    def state(self) -> dict[str, object]:
        """What `status` tells: running, pid, exit_code (negative: the signal), detail."""
        code = self.process.returncode if self.process else None
        running = self.process is not None and code is None
        return {
            "running": running,
            "pid": self.process.pid if self.process and running else None,
            "exit_code": code,
            "detail": self.error or _ending(code),
        }


class Children:
    """Spawns, watches and ends the servers of one lab."""

    def __init__(self, layout: Layout, servers: Iterable[ServerPlan]) -> None:
        self._layout = layout
        self._children = {server.spec.name: Child(server) for server in servers if server.command}

    def states(self) -> dict[str, dict[str, object]]:
        """Each server's state by name; servers without a command of the lab's are not among them."""
        return {name: child.state() for name, child in self._children.items()}

    async def spawn_all(self) -> None:
        """Start every server; one that cannot be started says so in its state."""
        for name in self._children:
            with contextlib.suppress(PeerError):  # kept in the child's state
                self.spawn(name)
            await asyncio.sleep(0)  # names and links are served meanwhile

    def spawn(self, name: str) -> int:
        """Start a server that does not run; its pid. Raises UserError if it runs, PeerError if it cannot be started."""
        child = self._child(name)
        if child.process is not None and child.process.returncode is None:
            raise UserError(f"server {name} runs already (pid {child.process.pid})")
        folder = self._layout.server(name)
        uid = SERVER_UID if os.geteuid() == 0 else None
        try:
            child.process = _start(child.plan, folder, self._environment(child.plan, folder), uid)
        except (OSError, subprocess.SubprocessError) as error:
            child.error = f"cannot be started: {error}"
            log.error("server %s %s", name, child.error)  # noqa: TRY400 - the text says it all
            raise PeerError(f"server {name} {child.error}") from error
        child.error, child.ended_at, child.ended = "", None, asyncio.Event()
        self._watch(child)
        return child.process.pid

    async def stop(self, name: str, patience: float = STOP_PATIENCE) -> int:
        """End a server: SIGTERM, after `patience` seconds SIGKILL. Returns its exit code once it is gone."""
        child = self._child(name)
        if child.process is None or child.ended is None:
            raise UserError(f"server {name} was never started")
        if not child.ended.is_set():
            child.process.terminate()
            try:
                await asyncio.wait_for(child.ended.wait(), patience)
            except TimeoutError:
                child.process.kill()
                await child.ended.wait()
        return child.process.returncode

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a running server. Raises UserError if it does not run."""
        child = self._child(name)
        if child.process is None or child.process.returncode is not None:
            raise UserError(f"server {name} does not run")
        child.process.send_signal(number)

    async def end(self, *, at_once: bool = False) -> None:
        """End every server and whatever else belongs to the lab; returns once nothing of it is left.

        All get SIGTERM together, what still lives after STOP_PATIENCE (with `at_once`: everything) gets
        SIGKILL, also helpers which their server left behind and agents.
        """
        if not at_once:
            await self._terminate()
        deadline = time.monotonic() + KILL_PATIENCE
        while kill_members(self._layout.root) and time.monotonic() < deadline:  # noqa: ASYNC110 - no event tells of these
            await asyncio.sleep(POLL)
        if left := members(self._layout.root):
            log.error("these processes of the lab cannot be ended: %s", left)

    async def _terminate(self) -> None:
        running = [child for child in self._children.values() if child.ended and not child.ended.is_set()]
        for child in running:
            assert child.process is not None
            child.process.terminate()
            child.process.send_signal(signal.SIGCONT)  # one that was paused cannot end
        endings = [asyncio.ensure_future(child.ended.wait()) for child in running if child.ended]
        if endings:
            _, late = await asyncio.wait(endings, timeout=STOP_PATIENCE)
            for waiting in late:
                waiting.cancel()

    def _child(self, name: str) -> Child:
        try:
            return self._children[name]
        except KeyError:
            known = ", ".join(self._children) or "none"
            raise UserError(f"no server {name!r} is a process of this lab; there are: {known}") from None

    def _environment(self, plan: ServerPlan, folder: Path) -> dict[str, str]:
        base = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": str(folder)}
        return {**base, **dict(plan.environment), MARK: str(self._layout.root)}

    def _watch(self, child: Child) -> None:
        """Set `ended` when the process is gone; a pidfd is readable then (pidfd_open(2))."""
        assert child.process is not None
        loop = asyncio.get_running_loop()
        process, ended = child.process, child.ended
        descriptor = os.pidfd_open(process.pid)

        def gone() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            process.wait()
            child.ended_at = time.time()
            log.info("server %s %s", child.plan.spec.name, _ending(process.returncode))
            assert ended is not None
            ended.set()

        loop.add_reader(descriptor, gone)


def _start(plan: ServerPlan, folder: Path, environment: dict[str, str], uid: int | None) -> subprocess.Popen[bytes]:
    parent = os.getpid()

    def prepare() -> None:  # in the child, after it gave up root: that would clear the signal
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # the service ended before the call

    output = os.open(folder / OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if uid is not None:
            os.fchown(output, uid, uid)
        return subprocess.Popen(
            plan.command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
            umask=0o077,
            start_new_session=True,
            preexec_fn=prepare,
        )
    finally:
        os.close(output)


def _ending(code: int | None) -> str:
    if code is None:
        return ""
    if code < 0:
        return f"ended by signal {-code} ({signal.strsignal(-code)})"
    return f"ended with code {code}"
