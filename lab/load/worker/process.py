"""A load worker: `python -m lab.load.worker.process`. JSON Lines on standard input and output, a process per core.

    in      {"load": {...}, "share": {...}}     first line: lab.load.model.spec as JSON
            {"go_ns": N} or {"go_ns": null}     start at that moment of CLOCK_MONOTONIC (clock_gettime(2)), or at once
            {"drained": true}                   all workers' users together have got what was written
            end of input                        stop early; the report still comes
    out     {"event": ..., "worker": ...}       see lab.load.worker.engine; last one is "ended", or
            {"event": "failed", "kind": "UserError", "message": ...}

Whoever starts it reads what it tells: where nobody does, it stands still once the pipe is full. Ctrl-C and SIGTERM
stop early as well. Exit status 0 after "ended", 1 after "failed".
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from lab.errors import LabError, UserError, encode_event
from lab.load.model.spec import Endpoint, Load, Shard

#: Bytes of the first line: the arrivals of a replay are in it.
LONGEST_LINE = 16 << 20


def encode(load: Load, shard: Shard) -> str:
    """The first line for a worker, with its end."""
    return json.dumps({"load": asdict(load), "share": asdict(shard)}) + "\n"


def decode(line: str) -> tuple[Load, Shard]:
    """The inverse. Raises UserError for a line that is none."""
    try:
        data = json.loads(line)
        endpoints = tuple(
            Endpoint(**{**one, "neighbours": tuple(one.get("neighbours", ()))}) for one in data["load"]["endpoints"]
        )
        return Load(**{**data["load"], "endpoints": endpoints}), Shard(**data["share"])
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"a worker's first line must be its load and shard as JSON: {error!r}") from error


class Orders:
    """What comes on standard input after the first line."""

    def __init__(self) -> None:
        self.stop, self.drained = asyncio.Event(), asyncio.Event()
        self._go: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def go(self) -> int:
        """The start, in ns of `perf_counter_ns`; at once when the load was stopped before.

        That clock is CLOCK_MONOTONIC, the same for all processes and containers of a machine: workers that are given
        one moment start at one moment, whatever becomes of the wall clock, and one that hears of it late is late.
        """
        stopped = asyncio.ensure_future(self.stop.wait())
        either: set[asyncio.Future[Any]] = {stopped, self._go}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        at = self._go.result() if self._go.done() else None
        return time.perf_counter_ns() if at is None else at

    def take(self, line: str) -> None:
        """Obey a line. Raises UserError for one that is no order."""
        try:
            order: dict[str, Any] = json.loads(line)
            at = order.get("go_ns")
            if not isinstance(at, int | None):
                raise TypeError("go_ns needs a time in ns")  # noqa: TRY301
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"a worker does not understand {line[:200]!r}: {error}") from error
        if "go_ns" in order and not self._go.done():
            self._go.set_result(at)
        if order.get("drained"):
            self.drained.set()

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Obey until the end of input, which means stop."""
        while line := await reader.readline():
            self.take(line.decode())
        self.stop.set()


async def work(reader: asyncio.StreamReader, emit: Callable[[dict[str, Any]], None]) -> None:
    """Read the first line, carry the load out, emit."""
    load, shard = decode((await reader.readline()).decode())
    run = _engine(load)
    orders = Orders()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, orders.stop.set)
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(orders.listen(reader))
        await run(load, shard, emit, go=orders.go, stop=orders.stop, drained=orders.drained)
        listening.cancel()


def _engine(load: Load) -> Any:
    """What carries a load; imported only when asked for. Raises UserError for an encryption that there is not."""
    if load.encryption == "omemo":
        from lab.load.worker.omemo_engine import run as run_encrypted

        return run_encrypted
    if load.encryption != "plain":
        raise UserError(f"encryption {load.encryption!r} of a load: there are plain and omemo")
    from lab.load.worker.engine import run

    return run


async def _main() -> int:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    failed: LabError | None = None
    try:
        await work(reader, _emit)
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


if __name__ == "__main__":
    import uvloop

    sys.exit(uvloop.run(_main()))
