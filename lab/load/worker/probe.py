"""Measures the delay of every route of a lab: `python -m lab.load.worker.probe`, on the lab's network.

JSON Lines. In: first a load (`lab.load.worker.process.encode`; its users and arrivals do not matter), then requests

    {"ask": 1, "patience": 2.0}

Out: {"event": "online"} once everybody has logged in, then an answer for each request,

    {"event": "answer", "ask": 1, "delays": {"a": 0.001, "a->b": 0.004}, "missing": ["b->a"], "bounced": {}}

One user on each server sends a message to itself and one over each link. A server forwards the stanzas of a link in
order, so a message that is received was behind everything that was sent there before. Messages in `missing` were not
received within `patience` seconds. A route is probed again only once its message was received or has bounced, so
requests add to no backlog. {"event": "failed", "kind", "message"} is the last line if something failed. The process
ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from lab.declarations.load_users import PROBE_USER
from lab.errors import LabError, PeerError, encode_event
from lab.load.client import stanzas
from lab.load.client.session import Session, SessionContext
from lab.load.client.xml_stream import Element
from lab.load.model.spec import Load, seeded_rng
from lab.load.worker.process import LONGEST_LINE, decode
from lab.load.worker.ramp_up import log_in

_LOGIN_RATE = 50.0  # per second


class Probe:
    """The users on the servers, and the messages under way between them."""

    def __init__(self, load: Load) -> None:
        context = SessionContext(
            load,
            self._on_message,
            self._on_stanza,
            lambda session, resumed: None,
            self._on_given_up,
            seeded_rng(load.seed, "probe"),
        )
        self.sessions = [Session(context, number, PROBE_USER, one) for number, one in enumerate(load.endpoints)]
        self._domains = {one.server: one.domain for one in load.endpoints}
        self._sent: dict[str, float] = {}  # by route: since when its message is under way
        self._delays: dict[str, float] = {}
        self._bounced: dict[str, str] = {}
        self._offline = ""  # a user who cannot reconnect, and why
        self._changed = asyncio.Event()

    async def measure(self, patience: float) -> dict[str, Any]:
        """Send a message over every free route, and wait. Raises PeerError if a user cannot reconnect."""
        self._delays, self._bounced = {}, {}
        for session in self.sessions:
            here = session.endpoint
            for name in (here.server, *(name for name in here.neighbours if name in self._domains)):
                route = here.server if name == here.server else f"{here.server}->{name}"
                if route not in self._sent:
                    self._sent[route] = time.perf_counter()
                    to = stanzas.build_message_head(f"{PROBE_USER}@{self._domains[name]}/{stanzas.RESOURCE}")
                    session.send(to + route.encode() + stanzas.build_message_tail(0))
            session.request_ack()
        deadline = time.perf_counter() + patience
        while self._sent and (left := deadline - time.perf_counter()) > 0:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                break
            if self._offline:
                raise PeerError(self._offline)
        return {"delays": self._delays, "missing": sorted(self._sent), "bounced": self._bounced}

    def _on_message(self, session: Session, identity: str) -> None:
        self._on_received(identity)

    def _on_stanza(self, session: Session, element: Element) -> None:
        route = element.attributes.get("id", "")
        if element.name == "message" and route in self._sent:
            error = element.find("error")
            self._bounced[route] = error.children[0].name if error is not None and error.children else "error"
            self._on_received(route)

    def _on_received(self, route: str) -> None:
        began = self._sent.pop(route, None)  # None: a second copy, of an earlier stream
        if began is not None and route not in self._bounced:
            self._delays[route] = time.perf_counter() - began
        self._changed.set()

    def _on_given_up(self, session: Session, reason: str) -> None:
        self._offline = f"{session.user}@{session.endpoint.domain}: {reason}"
        self._changed.set()


async def _serve(reader: asyncio.StreamReader) -> None:
    load, _ = decode((await reader.readline()).decode())
    probe = Probe(load)
    try:
        await log_in(probe.sessions, _LOGIN_RATE, lambda online: None, asyncio.Event())
        _emit({"event": "online"})
        while line := await reader.readline():
            request = json.loads(line)
            _emit({"event": "answer", "ask": request["ask"], **await probe.measure(float(request["patience"]))})
    finally:
        for session in probe.sessions:
            session.disconnect()


async def _main() -> int:
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        await _serve(reader)
    except LabError as error:
        _emit(encode_event(error))
        return 1
    return 0


def _emit(event: dict[str, Any]) -> None:
    print(json.dumps(event), flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
