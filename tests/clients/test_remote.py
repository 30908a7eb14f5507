import asyncio
import sys
from contextlib import asynccontextmanager

import pytest

from lab.clients import remote
from lab.clients.remote import Agent
from lab.errors import PeerError, TimedOut, UserError

ECHO = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    {body}
    sys.stdout.flush()
"""


@asynccontextmanager
async def talking_to(body):
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ECHO.format(body=body), stdin=pipe, stdout=pipe, stderr=pipe
    )

    async def close():
        await asyncio.wait_for(process.wait(), 30)

    events = []
    agent = Agent(process.stdout, process.stdin, close=close, on_event=events.append)
    try:
        yield agent, events
    finally:
        await agent.close()
        await process.stderr.read()
        process._transport.close()  # type: ignore[attr-defined]


async def test_answers_find_who_asked_whatever_their_order():
    body = """
    held = globals().setdefault("held", []); held.append(request["id"])
    if len(held) == 3:
        for number in reversed(held): print(json.dumps({"id": number, "ok": {"number": number}}))
    """.strip()
    async with talking_to(body) as (agent, _):
        got = await asyncio.gather(*(agent.call("hello") for _ in range(3)))
        assert [each["number"] for each in got] == [1, 2, 3]


@pytest.mark.parametrize(
    ("kind", "error"), [("usage", UserError), ("timeout", TimedOut), ("peer", PeerError), ("internal", PeerError)]
)
async def test_kinds_of_errors(kind, error):
    said = f'print(json.dumps({{"id": request["id"], "error": {{"kind": "{kind}", "message": "head\\n  | seen"}}}}))'
    async with talking_to(said) as (agent, _):
        with pytest.raises(error, match="head") as caught:
            await agent.call("ping", "d", to="x")
        if error is TimedOut:
            assert caught.value.evidence == ("seen",)


async def test_an_agent_that_dies_fails_every_waiting_call():
    async with talking_to("sys.exit(3)") as (agent, _):
        calls = [asyncio.create_task(agent.call("hello")) for _ in range(3)]
        for call in calls:
            with pytest.raises(PeerError, match="the agent has ended"):
                await asyncio.wait_for(call, 30)
        with pytest.raises(PeerError, match="the agent has ended"):
            await agent.call("hello")


async def test_lines_may_be_longer_than_a_stream_readers_limit():
    body = 'print(json.dumps({"id": request["id"], "ok": {"xml": request["xml"]}}))'
    async with talking_to(body) as (agent, _):
        text = "ü" * 3_000_000
        assert (await agent.call("send_raw", "d", xml=text))["xml"] == text


async def test_events_are_told_and_rubbish_is_trouble():
    body = """
    print("not json"); print(json.dumps({"event": "presence", "device": "d"}))
    print(json.dumps({"id": request["id"], "ok": {}}))
    """.strip()
    async with talking_to(body) as (agent, events):
        await agent.call("hello")
        assert [event["event"] for event in events] == ["trouble", "presence"]
        assert "not json" in events[0]["message"]


async def test_no_answer_is_a_timeout(monkeypatch):
    monkeypatch.setattr(remote, "GRACE", 0.05)
    async with talking_to("pass") as (agent, _):
        with pytest.raises(TimedOut, match=r"the agent did not answer 'ping' of device 'd' within 0.1 s"):
            await agent.call("ping", "d", timeout=0.05)


async def test_inline_needs_no_process():
    agent = Agent.inline()
    assert (await agent.call("hello"))["protocol"] == 1
    with pytest.raises(UserError, match="connect it first"):
        await agent.call("ping", "d", to="x")
    await agent.close()
    with pytest.raises(PeerError, match="closed"):
        await agent.call("hello")
