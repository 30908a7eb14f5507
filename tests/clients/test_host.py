import asyncio

import pytest

from lab.clients import device, host
from lab.clients.host import Host
from lab.errors import PeerError, UserError


class FakeDevice:
    """Answers as told, without any server."""

    def __init__(self, name, emit):
        self.name, self.emit, self.step = name, emit, "waiting for nobody"

    async def connect(self, *, jid: str, port: int, folder: str | None = None):
        if jid == "never":
            await asyncio.Event().wait()
        if jid == "broken":
            raise ZeroDivisionError("a bug")
        self.emit({"event": "connected", "device": self.name})
        return {"jid": jid}

    async def disconnect(self):
        self.emit({"event": "disconnected", "device": self.name})
        return {}

    async def ping(self, *, to: str):
        await asyncio.sleep(float(to))
        return {"seconds": float(to)}

    async def devices(self, *, of: str):
        raise PeerError(f"{of} has none")

    async def archive(self, *, with_: str | None = None, archive_: str | None = None):
        return {"messages": [with_, archive_]}


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(device, "ClientDevice", FakeDevice)
    host._signature.cache_clear()
    events = []
    yield Host(events.append), events
    host._signature.cache_clear()


async def ask(made, op, **fields):
    answer = await made.handle({"id": 1, "op": op, "device": "d", **fields})
    assert answer.pop("id") == 1
    return answer.get("ok", answer.get("error"))


async def test_hello_says_what_it_can():
    assert (await Host(print).handle({"id": "x", "op": "hello"})) == {
        "id": "x", "ok": {"protocol": 1, "agent": "xmpplab", "encryptions": [
            "omemo", "omemo+omemo:2", "omemo-dr", "omemo-keys-lost", "omemo:2", "otr", "plain",
        ]},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"op": "dance"}, "op 'dance' is unknown: use one of hello, answer, archive, back_up, configure_room, connect"),
        ({"op": ["connect"]}, "is unknown"),
        ({"op": "ping", "to": "1"}, "device 'd' is unknown: connect it first"),
        ({"op": "connect", "device": None}, "device: a name is needed"),
        ({"op": "connect", "jid": "a"}, "connect needs the field 'port'"),
        ({"op": "connect", "jid": 1, "port": 1}, "connect: jid must be str, not int"),
        ({"op": "connect", "jid": "a", "port": True}, "connect: port must be int, not bool"),
        ({"op": "connect", "jid": "a", "port": "1"}, "connect: port must be int, not str"),
        ({"op": "connect", "jid": "a", "port": 1, "folder": 1}, "folder must be null or str"),
        (
            {"op": "connect", "jid": "a", "port": 1, "prot": 1},
            "connect has no field 'prot': it takes jid, port, folder",
        ),
        ({"op": "connect", "jid": "a", "port": 1, "timeout": "1"}, "timeout must be a number of seconds above 0"),
        ({"op": "connect", "jid": "a", "port": 1, "timeout": 0}, "timeout must be a number of seconds above 0"),
    ],
)
async def test_wrong_requests_are_usage_errors_that_say_what_to_change(fake, fields, said):
    answer = await fake[0].handle({"id": 1, "device": "d", **fields})
    assert answer["error"]["kind"] == "usage"
    assert said in answer["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"to": "a@x", "body": "bell \x07", "message": "1"}, "send: body: U+0007 at position 6 cannot be in XML"),
        ({"to": "a@x/\ufffe", "body": "", "message": "1"}, "send: to: U+FFFE at position 5"),
        ({"to": "a@x", "body": "half \ud83d", "message": "1"}, "send: body: U+D83D at position 6"),
        ({"op": "join", "room": "r@x", "nick": "\0"}, "join: nick: U+0000"),
        ({"op": "configure_room", "room": "r@x", "values": {"a": ["b", "\x1b"]}}, "configure_room: values: U+001B"),
        ({"op": "configure_room", "room": "r@x", "values": {"\x01": "b"}}, "configure_room: values: U+0001"),
        ({"op": "send_raw", "xml": "\udc00"}, "send_raw: xml: U+DC00 at position 1 cannot be written in UTF-8"),
        ({"op": "peer_raw", "to": "x", "data": "\udc00"}, "peer_raw: data: U+DC00"),
        ({"op": "archive", "with": "\x02"}, "archive: with: U+0002"),
    ],
)
def test_characters_that_xml_forbids_are_refused(fields, said):
    given = {"op": "send", "device": "d", **fields}
    with pytest.raises(UserError) as raised:
        host._fields(given["op"], given)
    assert said in str(raised.value)


def test_what_is_sent_as_it_is_may_be_no_xml():
    assert host._fields("send_raw", {"xml": "<bell>\x07"}) == {"xml": "<bell>\x07"}


async def test_errors_are_told_apart_by_kind(fake, caplog):
    made, _ = fake
    assert await ask(made, "connect", jid="a", port=1) == {"jid": "a"}
    assert await ask(made, "devices", of="b") == {"kind": "peer", "message": "b has none"}
    assert (await ask(made, "connect", jid="broken", port=1))["kind"] == "internal"
    assert "a bug" in caplog.text
    late = await ask(made, "connect", jid="never", port=1, timeout=0.01)
    assert late["kind"] == "timeout"
    assert "waiting for nobody" in late["message"]


async def test_fields_that_python_has_taken_keep_their_names(fake):
    made, _ = fake
    await ask(made, "connect", jid="a", port=1)
    assert await ask(made, "archive", **{"with": "w", "archive": "x"}) == {"messages": ["w", "x"]}


async def test_requests_run_at_the_same_time(fake):
    made, _ = fake
    await ask(made, "connect", jid="a", port=1)
    begun = asyncio.get_running_loop().time()
    await asyncio.gather(*(ask(made, "ping", to="0.1") for _ in range(20)))
    assert asyncio.get_running_loop().time() - begun < 1


async def test_close_disconnects_every_device(fake):
    made, events = fake
    for name in ("one", "two"):
        await made.handle({"id": 1, "op": "connect", "device": name, "jid": "a", "port": 1})
    await made.close()
    assert {event["device"] for event in events if event["event"] == "disconnected"} == {"one", "two"}


def test_every_request_of_the_protocol_exists_with_its_fields():
    for op in host.OPERATIONS:
        assert host._signature(op) is not None
    with pytest.raises(UserError):
        host._fields("send", {"to": "x"})
