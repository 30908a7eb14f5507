"""The servers of a lab as child processes of its service (runtime `processes`).

A server dies with the service, however that ends (PR_SET_PDEATHSIG, prctl(2)); it runs in a session of its
own, so that Ctrl-C in a terminal ends a lab in order. As root it runs with an unused uid. Its standard input is
empty, its output goes to a file in its folder, and its environment has only what it needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import PeerError, UserError
from lab.plan.layout import Layout
from lab.plan.model import ServerPlan
from lab.servers.conventions import OUTPUT
from lab.system.processes import MARK, SERVER_UID, die_with_parent, find_members, kill_members

log = logging.getLogger(__name__)

PATH = "/usr/local/bin:/usr/bin:/bin"
STOP_PATIENCE = 3.0  # seconds between SIGTERM and SIGKILL: Prosody needs 0.1, ejabberd 1
KILL_PATIENCE = 5.0  # seconds that killed processes may need to end
POLL = 0.02  # seconds between two searches for processes that are not our children


@dataclass
class ServerProcess:
    """A server's process; `process` is None until it is first started."""

    plan: ServerPlan
    process: subprocess.Popen[bytes] | None = None
    ended: asyncio.Event | None = None
    error: str = ""  # why it could not be started
    changes: list[tuple[float, bool]] = field(default_factory=list)  # seconds since the epoch; whether it ran then

    def describe(self) -> dict[str, object]:
        """What `status` shows: running, pid, exit_code (negative: the signal), detail."""
        code = self.process.returncode if self.process else None
        running = self.process is not None and code is None
        return {
            "running": running,
            "pid": self.process.pid if self.process and running else None,
            "exit_code": code,
            "detail": self.error or _end_text(code),
            "changes": self.changes,
        }


class ServerProcesses:
    """Spawns, watches and ends the servers of one lab."""

    def __init__(self, layout: Layout, servers: Iterable[ServerPlan]) -> None:
        self._layout = layout
        self._servers = {server.spec.name: ServerProcess(server) for server in servers if server.command}

    def states(self) -> dict[str, dict[str, object]]:
        """Each server's state by name; servers without a command of the lab's are not among them."""
        return {name: server.describe() for name, server in self._servers.items()}

    async def spawn_all(self) -> None:
        """Start every server; one that cannot be started says so in its state."""
        for name in self._servers:
            with contextlib.suppress(PeerError):  # kept in its state
                self.spawn(name)
            await asyncio.sleep(0)  # names and links are served meanwhile

    def spawn(self, name: str) -> int:
        """Start a server that does not run; its pid. Raises UserError if it runs, PeerError if it cannot be started."""
        server = self._server(name)
        if server.process is not None and server.process.returncode is None:
            raise UserError(f"server {name} runs already (pid {server.process.pid})")
        folder = self._layout.server(name)
        uid = SERVER_UID if os.geteuid() == 0 else None
        try:
            server.process = _start(server.plan, folder, self._environment(server.plan, folder), uid)
        except (OSError, subprocess.SubprocessError) as error:
            server.error = f"cannot be started: {error}"
            log.error("server %s %s", name, server.error)  # noqa: TRY400 - the text says it all
            raise PeerError(f"server {name} {server.error}") from error
        server.error, server.ended = "", asyncio.Event()
        server.changes.append((time.time(), True))
        self._watch_end(server)
        return server.process.pid

    def runs(self, name: str) -> bool:
        """Whether a server's process runs, also while it is paused. Raises UserError if there is no such server."""
        process = self._server(name).process
        return process is not None and process.returncode is None

    async def stop(self, name: str, patience: float | None = None, *, at_once: bool = False) -> int:
        """End a server: SIGTERM, after `patience` seconds SIGKILL, or that `at_once`; its exit code, once it has ended.

        One that is paused ends as well.
        """
        server = self._server(name)
        if server.process is None or server.ended is None:
            raise UserError(f"server {name} was never started")
        if not server.ended.is_set():
            if at_once:
                server.process.kill()
            else:
                server.process.terminate()
                server.process.send_signal(signal.SIGCONT)  # one that was paused cannot end
            try:
                await asyncio.wait_for(server.ended.wait(), STOP_PATIENCE if patience is None else patience)
            except TimeoutError:
                server.process.kill()
                await server.ended.wait()
        return server.process.returncode

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a running server. Raises UserError if it does not run."""
        server = self._server(name)
        if server.process is None or server.process.returncode is not None:
            raise UserError(f"server {name} does not run")
        server.process.send_signal(number)

    async def end(self, *, at_once: bool = False) -> None:
        """End every server and every other process of the lab; returns once none is left.

        All get SIGTERM together, what still runs after STOP_PATIENCE (with `at_once`: everything) gets
        SIGKILL, also helpers which their server left behind and agents.
        """
        if not at_once:
            await self._terminate()
        deadline = time.monotonic() + KILL_PATIENCE
        while kill_members(self._layout.root) and time.monotonic() < deadline:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(POLL)
        if left := find_members(self._layout.root):
            log.error("these processes of the lab cannot be ended: %s", left)

    async def _terminate(self) -> None:
        running = [server for server in self._servers.values() if server.ended and not server.ended.is_set()]
        for server in running:
            assert server.process is not None
            server.process.terminate()
            server.process.send_signal(signal.SIGCONT)  # one that was paused cannot end
        endings = [asyncio.ensure_future(server.ended.wait()) for server in running if server.ended]
        if endings:
            _, late = await asyncio.wait(endings, timeout=STOP_PATIENCE)
            for waiting in late:
                waiting.cancel()

    def _server(self, name: str) -> ServerProcess:
        try:
            return self._servers[name]
        except KeyError:
            known = ", ".join(self._servers) or "none"
            raise UserError(f"no server {name!r} is a process of this lab; there are: {known}") from None

    def _environment(self, plan: ServerPlan, folder: Path) -> dict[str, str]:
        base = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": str(folder)}
        return {**base, **dict(plan.environment), MARK: str(self._layout.root)}

    def _watch_end(self, server: ServerProcess) -> None:
        """Set `ended` when the process has ended; a pidfd is readable then (pidfd_open(2))."""
        assert server.process is not None
        loop = asyncio.get_running_loop()
        process, ended = server.process, server.ended
        descriptor = os.pidfd_open(process.pid)

        def on_end() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            process.wait()
            server.changes.append((time.time(), False))
            log.info("server %s %s", server.plan.spec.name, _end_text(process.returncode))
            assert ended is not None
            ended.set()

        loop.add_reader(descriptor, on_end)


def _start(plan: ServerPlan, folder: Path, environment: dict[str, str], uid: int | None) -> subprocess.Popen[bytes]:
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
            preexec_fn=die_with_parent(),  # called after the server has given up root, which clears the signal
        )
    finally:
        os.close(output)


def _end_text(code: int | None) -> str:
    if code is None:
        return ""
    if code < 0:
        return f"ended by signal {-code} ({signal.strsignal(-code)})"
    return f"ended with code {code}"
