"""Asks every route of a lab how long it takes now: `python -m lab.load.worker.probe`, where the lab's network is.

JSON Lines. In: first a load (`lab.load.worker.process.encode`; its users and arrivals do not matter), then questions

    {"ask": 1, "patience": 2.0}

Out: {"event": "online"} once everybody has logged in, then an answer for each question,

    {"event": "answer", "ask": 1, "delays": {"a": 0.001, "a->b": 0.004}, "missing": ["b->a"], "bounced": {}}

One person on each server writes a message to themselves and one over each link. A server hands on in order what goes
over one link, so a message that comes has everything that was written there before it behind it. `missing` did not
come within `patience` seconds. A route is asked again once its message has come, or has bounced: no question adds to a
backlog. {"event": "failed", "kind", "message"} is the last line where it went wrong. Ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from lab.errors import LabError, PeerError, encode_event
from lab.load.client import stanzas
from lab.load.client.session import Session, SessionContext
from lab.load.client.xml_stream import Element
from lab.load.model.spec import Load, seeded_rng
from lab.load.worker.coming import all_online
from lab.load.worker.process import LONGEST_LINE, decode

USER = "quiet"
_LOGINS = 50.0  # a second


class Probe:
    """The people on the servers, and what is on its way between them."""

    def __init__(self, load: Load) -> None:
        context = SessionContext(
            load, self._message, self._stanza, lambda session, resumed: None, self._gone, seeded_rng(load.seed, "probe")
        )
        self.sessions = [Session(context, number, USER, one) for number, one in enumerate(load.endpoints)]
        self._domains = {one.server: one.domain for one in load.endpoints}
        self._sent: dict[str, float] = {}  # routes that are under way, and since when
        self._delays: dict[str, float] = {}
        self._bounced: dict[str, str] = {}
        self._lost = ""  # somebody who cannot return, and why
        self._news = asyncio.Event()

    async def ask(self, patience: float) -> dict[str, Any]:
        """Write over every route that is free, and wait. Raises PeerError if somebody is offline for good."""
        self._delays, self._bounced = {}, {}
        for session in self.sessions:
            here = session.endpoint
            for name in (here.server, *(name for name in here.neighbours if name in self._domains)):
                route = here.server if name == here.server else f"{here.server}->{name}"
                if route not in self._sent:
                    self._sent[route] = time.perf_counter()
                    to = stanzas.message_head(f"{USER}@{self._domains[name]}/{stanzas.RESOURCE}")
                    session.send(to + route.encode() + stanzas.message_tail(0))
            session.request_ack()
        deadline = time.perf_counter() + patience
        while self._sent and (left := deadline - time.perf_counter()) > 0:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), left)
            except TimeoutError:
                break
            if self._lost:
                raise PeerError(self._lost)
        return {"delays": self._delays, "missing": sorted(self._sent), "bounced": self._bounced}

    def _message(self, session: Session, identity: str) -> None:
        self._came(identity)

    def _stanza(self, session: Session, element: Element) -> None:
        route = element.attributes.get("id", "")
        if element.name == "message" and route in self._sent:
            error = element.find("error")
            self._bounced[route] = error.children[0].name if error is not None and error.children else "error"
            self._came(route)

    def _came(self, route: str) -> None:
        began = self._sent.pop(route, None)  # None: of an earlier stream, told twice
        if began is not None and route not in self._bounced:
            self._delays[route] = time.perf_counter() - began
        self._news.set()

    def _gone(self, session: Session, reason: str) -> None:
        self._lost = f"{session.user}@{session.endpoint.domain}: {reason}"
        self._news.set()


async def _serve(reader: asyncio.StreamReader) -> None:
    load, _ = decode((await reader.readline()).decode())
    probe = Probe(load)
    try:
        await all_online(probe.sessions, _LOGINS, lambda online: None, asyncio.Event())
        _say({"event": "online"})
        while line := await reader.readline():
            order = json.loads(line)
            _say({"event": "answer", "ask": order["ask"], **await probe.ask(float(order["patience"]))})
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
        _say(encode_event(error))
        return 1
    return 0


def _say(event: dict[str, Any]) -> None:
    print(json.dumps(event), flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
