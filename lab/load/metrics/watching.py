"""What a load costs while it runs: servers and generators each second, bytes of links over the steady state.

And what else is busy (`around`): the lab's own services, if there are relays, and the machine as a whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from lab.errors import LabError, MissingError
from lab.lifecycle.lab import Lab
from lab.load.metrics.resources import Meter, Metering, grown, link_bytes, machine
from lab.load.metrics.result import Usage
from lab.network.control import Control

EVERY = 1.0  # seconds
#: Of what is around: the process of the lab's names and relays, and all processes of the machine.
SERVICES, MACHINE = "services", "machine"


class Watch:
    """Of one load. What cannot be metered is said by `note`, and the load goes on without."""

    def __init__(
        self, lab: Lab | None, servers: Mapping[str, int], generators: Mapping[str, int], note: Callable[[str], None]
    ) -> None:
        self._lab, self._note = lab, note
        self._pids: dict[str, Mapping[str, int]] = {"servers": servers, "generators": generators}
        self._meterings: dict[str, Metering] = {}
        self.links: dict[str, int] = {}

    async def run(self, start: float, warmup: float, seconds: float, tell: Callable[[dict[str, Any]], None]) -> None:
        """Until cancelled. `start` is time 0 on `time.perf_counter`, and may lie ahead."""
        with contextlib.ExitStack() as open_files:
            self._pids["around"] = await self._services()
            for name, pids in self._pids.items():
                if pids:
                    try:
                        meter = Meter({who: [pid] for who, pid in pids.items()}, alone=pids if name == "around" else ())
                    except MissingError as error:
                        self._note(f"{name} are not metered: {error}")
                    else:
                        open_files.enter_context(meter)
                        self._meterings[name] = Metering(meter, start)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._each_second(start, tell))
                group.create_task(self._links(start + warmup, start + warmup + seconds))

    def usage(self, name: str) -> dict[str, list[Usage]]:
        """Readings of "servers" or "generators", by who."""
        return self._meterings[name].usage if name in self._meterings else {}

    async def _each_second(self, start: float, tell: Callable[[dict[str, Any]], None]) -> None:
        due = start
        while self._meterings:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            readings = {name: metering.take() for name, metering in self._meterings.items()}
            whole = Usage(time.perf_counter() - start, machine(), 0)
            around = {**readings.pop("around", {}), MACHINE: whole}
            tell({"event": "usage", "servers": {}, "generators": {}, **readings, "around": around})
            due = max(due + EVERY, time.perf_counter())

    async def _services(self) -> dict[str, int]:
        """The process of the lab's relays, {} without any. A server is its child where servers are processes."""
        if self._lab is None or not self._lab.plan.relays or not self._pids["servers"]:
            return {}
        pid = await self._lab.runtime.services(self._lab.layout)
        return {} if pid is None else {SERVICES: pid}

    async def _links(self, start: float, end: float) -> None:
        if self._lab is None or not self._lab.plan.relays:
            return
        try:
            async with Control(self._lab.layout.control) as control:
                await asyncio.sleep(max(0.0, start - time.perf_counter()))
                before = await link_bytes(control)
                try:
                    await asyncio.sleep(max(0.0, end - time.perf_counter()))
                finally:
                    self.links = grown(before, await link_bytes(control))
        except LabError as error:
            self._note(f"bytes of links are not known: {error}")
