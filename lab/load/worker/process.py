"""A load worker: `python -m lab.load.worker`, one process per core, with JSON Lines on standard input and output.

    in      {"load": {...}, "share": {...}}     first line: lab.load.model.spec as JSON
            {"go_ns": N} or {"go_ns": null}     start at that time of CLOCK_MONOTONIC (clock_gettime(2)), or at once
            {"drained": true}                   all messages were received, by the users of all workers together
            end of input                        stop early; the final events still follow
    out     {"event": ..., "worker": ...}       see lab.load.worker.engine; the last one is "ended", or
            {"event": "failed", "kind": "UserError", "message": ...}

The parent process must read the output: otherwise the worker blocks once the pipe is full. SIGINT and SIGTERM stop
early as well. Exit status 0 after "ended", 1 after "failed".
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from typing import Any

from lab.declarations.encryptions import ENCRYPTIONS, get_encryption
from lab.errors import LabError, UserError, encode_event
from lab.load.model.spec import Endpoint, Load, Shard

#: Bytes of the first line: it holds all arrivals of a replay.
LONGEST_LINE = 16 << 20


def encode(load: Load, shard: Shard) -> str:
    """The first line for a worker, with its end of line."""
    return json.dumps({"load": asdict(load), "share": asdict(shard)}) + "\n"


def decode(line: str) -> tuple[Load, Shard]:
    """The inverse of `encode`. Raises UserError for any other line."""
    try:
        data = json.loads(line)
        endpoints = tuple(
            Endpoint(**{**one, "neighbours": tuple(one.get("neighbours", ()))}) for one in data["load"]["endpoints"]
        )
        return Load(**{**data["load"], "endpoints": endpoints}), Shard(**data["share"])
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"a worker's first line must be its load and shard as JSON: {error!r}") from error


class WorkerCommands:
    """The commands on standard input after the first line. `stop` and `drained` are set when they are received."""

    def __init__(self) -> None:
        self.stop, self.drained = asyncio.Event(), asyncio.Event()
        self._start: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def wait_for_start(self) -> int:
        """The start in ns of `perf_counter_ns`, once it is known; now, if the load is stopped before.

        That clock is CLOCK_MONOTONIC, the same for all processes and containers of a machine: workers that get the same
        time start at the same time, even if the wall clock changes, and one that reads the command late knows it.
        """
        stopped = asyncio.ensure_future(self.stop.wait())
        either: set[asyncio.Future[Any]] = {stopped, self._start}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        at = self._start.result() if self._start.done() else None
        return time.perf_counter_ns() if at is None else at

    def handle(self, line: str) -> None:
        """Handle one line. Raises UserError if it is no command."""
        try:
            command: dict[str, Any] = json.loads(line)
            at = command.get("go_ns")
            if not isinstance(at, int | None):
                raise TypeError("go_ns needs a time in ns")  # noqa: TRY301
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"a worker does not understand {line[:200]!r}: {error}") from error
        if "go_ns" in command and not self._start.done():
            self._start.set_result(at)
        if command.get("drained"):
            self.drained.set()

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Handle all lines until the end of input, which means stop."""
        while line := await reader.readline():
            self.handle(line.decode())
        self.stop.set()


async def run_worker(reader: asyncio.StreamReader, emit: Callable[[dict[str, Any]], None]) -> None:
    """Read the first line, then carry the load and emit its events."""
    load, shard = decode((await reader.readline()).decode())
    run = _engine(load)
    commands = WorkerCommands()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, commands.stop.set)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(commands.read(reader))
        await run(load, shard, emit, go=commands.wait_for_start, stop=commands.stop, drained=commands.drained)
        reading.cancel()


def _engine(load: Load) -> Any:
    """The function that carries a load, imported only if it is used. Raises UserError for an unknown encryption."""
    declared = get_encryption(load.encryption, (name for name, one in ENCRYPTIONS.items() if one.loads))
    module = "encrypted_engine" if declared.end_to_end else "engine"
    return import_module(f"lab.load.worker.{module}").run


async def main() -> int:
    """Carry one load; the exit status."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    failed: LabError | None = None
    try:
        await run_worker(reader, _emit)
    except* LabError as errors:
        failed = _first(errors)
    if failed is None:
        return 0
    _emit(encode_event(failed))
    return 1


def _first(errors: BaseExceptionGroup[LabError]) -> LabError:
    one = errors.exceptions[0]
    return _first(one) if isinstance(one, BaseExceptionGroup) else one


def _emit(event: dict[str, Any]) -> None:
    print(json.dumps(event, separators=(",", ":")), flush=True)
