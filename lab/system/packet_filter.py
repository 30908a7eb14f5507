"""The kernel's packet filter (nftables), for rules that drop a share of the packets which this machine receives.

One `nft -i` process owns the table: the kernel deletes it when that process ends, however it ends, and lets nobody else
change it. The process ends with its parent. So nothing is left of a lab that was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from lab.errors import PeerError, TimedOut
from lab.system.processes import die_with_parent
from lab.system.subprocesses import build_search_path

RESOLUTION = 1000  # a share is a whole number of thousandths

_PATIENCE = 30.0  # seconds until nft has answered: it needs a few milliseconds


@dataclass(frozen=True)
class Drop:
    """Of the TCP packets to an address and port, or from there, so many are dropped when they are received."""

    address: str  # IPv4
    port: int
    arriving: bool  # True: packets to it. False: packets from it
    share: float  # 0.05: one of twenty, by lot

    def write(self) -> str:
        """The rule, without table and chain."""
        address, port = ("daddr", "dport") if self.arriving else ("saddr", "sport")
        some = f"numgen random mod {RESOLUTION} < {round(self.share * RESOLUTION)}"
        return f"ip {address} {self.address} tcp {port} {self.port} {some} counter drop"


class PacketFilter:
    """A table of this process, which exists while it has rules."""

    def __init__(self, table: str) -> None:
        self.table = table
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    async def set(self, drops: Sequence[Drop]) -> None:
        """Let exactly these rules hold, once this returns. After an error there is no rule.

        Raises PeerError if nft refuses, or has been ended since the last time, and TimedOut.
        """
        async with self._lock:
            if self._process is not None and self._process.returncode is not None:
                code, self._process = self._process.returncode, None
                raise PeerError(f"nft was ended (exit code {code}): since then no packet was dropped")
            if not drops:
                await self._end()
                return
            try:
                if self._process is None:
                    await self._start()
                await self._change(_write_rules(self.table, drops))
            except BaseException:
                await self._kill()  # it is not forgotten: who heals another loss is told that this one ended it
                raise

    async def close(self) -> None:
        """Drop nothing more; the table is deleted once this returns."""
        async with self._lock:
            await self._end()

    async def _start(self) -> None:
        try:
            self._process = await asyncio.create_subprocess_exec(
                "nft",
                "-i",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=_environment(),
                preexec_fn=die_with_parent(),
                start_new_session=True,  # Ctrl-C in a terminal is not for it
            )
        except OSError as error:
            raise PeerError(f"nft cannot be started: {error}") from error
        await self._change(_write_table(self.table))

    async def _change(self, commands: Sequence[str]) -> None:
        """Carry out one transaction, and ask for the table: its last line ends the answer."""
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        answer: list[str] = []
        try:
            async with asyncio.timeout(_PATIENCE):
                self._process.stdin.write(f"{'; '.join(commands)}\nlist table inet {self.table}\n".encode())
                await self._process.stdin.drain()
                # where there is no table nft quotes the question instead
                while not answer or not answer[-1].startswith(("}", "list table ")):
                    line = await self._process.stdout.readline()
                    if not line:
                        raise PeerError(f"nft has ended: {' '.join(answer)[:500]}")
                    answer.append(line.decode(errors="replace").rstrip())
        except TimeoutError:
            raise TimedOut(f"nft did not answer within {_PATIENCE:g} s", tuple(answer)) from None
        except ConnectionError as error:
            raise PeerError("nft has ended") from error
        if any(line.startswith("Error") for line in answer):
            raise PeerError(f"nft refuses a rule: {' '.join(answer)[:500]}")

    async def _end(self) -> None:
        await self._kill()
        self._process = None

    async def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


def find_filter_problem() -> str:
    """Why this process cannot drop packets, "" if it can: the kernel is asked, and nothing is changed."""
    if os.geteuid() != 0:
        return "only root may let the kernel drop packets"
    if shutil.which("nft", path=build_search_path()) is None:
        return "nft is missing: install the package nftables"
    table = "xmpplab-trial"
    commands = [*_write_table(table), *_write_rules(table, [Drop("127.0.0.1", 1, arriving=True, share=0.5)])]
    try:
        tried = subprocess.run(
            ["nft", "--check", "--file", "-"],
            input="\n".join(commands),
            capture_output=True,
            text=True,
            check=False,
            env=_environment(),
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"nft cannot be used: {error}"
    first = next(iter(tried.stderr.splitlines()), f"exit code {tried.returncode}")
    return "" if tried.returncode == 0 else f"nft cannot change the kernel's packet filter: {first}"


def _write_table(table: str) -> list[str]:
    return [
        f"add table inet {table} {{ flags owner; }}",
        f"add chain inet {table} input {{ type filter hook input priority filter; policy accept; }}",
    ]


def _write_rules(table: str, drops: Sequence[Drop]) -> list[str]:
    return [f"flush chain inet {table} input", *(f"add rule inet {table} input {one.write()}" for one in drops)]


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", "PATH": build_search_path()}
