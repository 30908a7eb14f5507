"""Clients of a lab for programs that cannot run asyncio, such as tasks of Locust files.

Run as `python -m lab.load.coordinator.locust_bridge`.

The agent protocol of lab/clients/protocol.py on standard input and output, carried by an agent on the lab's network,
and one more request, which is the first for each client:

    enter    {user, number, encryption} -> {jid, server, reaches: [servers]}: the account is made on server `number`
             modulo the number of servers, and a device of that name (its bare JID) is connected

The first line of input is {"lab": NAME}; the answer is {"event": "ready"}, or {"event": "failed", kind, message} and
exit status 1. The end of input ends the agent and this process.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Coroutine
from typing import Any

from lab.clients.remote import Agent
from lab.errors import LabError, PeerError, UserError, encode_answer, encode_event
from lab.lifecycle.lab import Lab
from lab.load.coordinator.provisioning import find_endpoints, is_down
from lab.load.model.spec import Endpoint

Json = dict[str, Any]

#: Bytes of a request at most.
LONGEST_LINE = 1 << 20
#: Seconds for a login; publishing OMEMO keys on a busy server takes several.
CONNECT_TIMEOUT = 60.0


class BridgeServer:
    """Passes requests to the agent and answers back."""

    def __init__(self, lab: Lab, agent: Agent) -> None:
        self._lab, self._agent = lab, agent
        self._endpoints = find_endpoints(lab.plan, listed=False)  # names of users are drawn: no list has them

    async def answer(self, request: Json) -> Json:
        """The answer to a request, which may be an error."""
        identity, op, device = request.pop("id", None), request.pop("op", ""), request.pop("device", None)
        try:
            if op == "enter":
                return {"id": identity, "ok": await self._enter(**request)}
            return {"id": identity, "ok": await self._agent.call(op, device, **request)}
        except TypeError as error:  # the request has other fields
            return {"id": identity, "error": encode_answer(UserError(f"{op}: {error}"))}
        except LabError as error:
            return {"id": identity, "error": encode_answer(error)}

    async def _enter(self, user: str, number: int, encryption: str = "plain") -> Json:
        home: Endpoint = self._endpoints[number % len(self._endpoints)]
        await self._lab.create_accounts(home.server, [user])
        jid = f"{user}@{home.domain}"
        await self._agent.call(
            "connect",
            jid,
            jid=jid,
            password=self._lab.password,
            resource="locust",
            host=home.host,
            port=home.port,
            authority=self._lab.trusted(home.server),
            encryption=encryption,
            libraries=await self._lab.find_libraries(encryption),
            timeout=CONNECT_TIMEOUT,
        )
        return {"jid": jid, "server": home.server, "reaches": [home.server, *home.neighbours]}


async def serve(reader: asyncio.StreamReader) -> None:
    """Attach to the lab, start the agent, answer requests until the end of input."""
    from lab.lifecycle.registry import attach

    try:
        lab = await attach(json.loads(await reader.readline())["lab"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"the first line must name the lab: {error!r}") from error
    pipes = await lab.start_agent()
    agent = Agent(pipes.reader, pipes.writer, close=pipes.close, on_event=_emit)
    gone = asyncio.create_task(agent.until_gone())  # a user that waits for a message sends no request
    running: set[asyncio.Task[None]] = set()
    try:
        bridge = BridgeServer(lab, agent)
        _emit({"event": "ready"})

        async def one(request: Json) -> None:
            answer = await bridge.answer(request)
            if agent.gone is None:  # else the end of this process answers all
                _emit(answer)

        while line := await _line_or_end(reader.readline(), gone, lab):
            task = asyncio.create_task(one(json.loads(line)))
            running.add(task)
            task.add_done_callback(running.discard)
    except ValueError as error:
        raise PeerError(f"a request is a line of JSON: {error}") from error
    finally:
        gone.cancel()
        for task in running:
            task.cancel()
        await agent.close()


async def _line_or_end(line: Coroutine[Any, Any, bytes], gone: asyncio.Task[str], lab: Lab) -> bytes:
    """The next line. Raises PeerError if the agent ends before it is received."""
    reading = asyncio.create_task(line)
    either: set[asyncio.Task[Any]] = {reading, gone}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if gone.done():
        reading.cancel()
        raise PeerError(f"the lab {lab.name} is no longer up" if is_down(lab) else gone.result())
    return reading.result()


def _emit(message: Json) -> None:
    print(json.dumps(message, separators=(",", ":")), flush=True)


async def _main() -> int:
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        await serve(reader)
    except LabError as error:
        _emit(encode_event(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
