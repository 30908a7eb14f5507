import asyncio
import json
import signal
import sys
from contextlib import asynccontextmanager

import pytest

from lab.clients.agent import build_loop, parse_request
from lab.system.subprocesses import build_python_command

#: Seconds for an interpreter to start on a busy machine.
START = 30


@asynccontextmanager
async def agent():
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lab.clients.agent", stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def talk(process, *lines):
    """Give these lines and the end of input; answers and standard error."""
    out, err = await asyncio.wait_for(process.communicate("\n".join(lines).encode()), START)
    return [json.loads(line) for line in out.splitlines()], err.decode()


async def test_answers_each_request_once_and_ends_with_its_input():
    async with agent() as process:
        answers, err = await talk(process, *(json.dumps({"id": number, "op": "hello"}) for number in range(50)))
        assert sorted(answer["id"] for answer in answers) == list(range(50))
        assert all(answer["ok"]["protocol"] == 1 for answer in answers)
        assert (process.returncode, err) == (0, "")


async def test_a_line_that_is_none_is_answered_and_the_next_is_read():
    lines = [
        "nonsense with s3cret",
        "[1]",
        "",
        '{"op": "hello"}',
        '{"id": null, "op": "hello"}',
        '{"id": 7, "op": "hello"}',
    ]
    async with agent() as process:
        answers, err = await talk(process, *lines)
        assert [answer["id"] for answer in answers] == [None, None, None, None, 7]
        assert {answer["error"]["kind"] for answer in answers[:4]} == {"usage"}
        assert "s3cret" not in json.dumps(answers) + err
        assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_peace(number):
    async with agent() as process:
        process.stdin.write(b'{"id": 1, "op": "hello"}\n')
        await asyncio.wait_for(process.stdout.readline(), START)
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), START) == 0


async def test_end_of_input_does_not_wait_for_a_request_under_way():
    request = {"id": 1, "op": "connect", "device": "d", "jid": "a@a.test", "password": "s3cret", "resource": "r",
               "host": "127.0.0.1", "port": 1, "authority": "no certificate", "timeout": 60}  # fmt: skip
    async with agent() as process:
        answers, err = await talk(process, json.dumps(request))
        assert process.returncode == 0
        assert all("s3cret" not in json.dumps(answer) for answer in answers)
        assert "s3cret" not in err


async def test_requests_may_come_from_a_file(tmp_path):
    (tmp_path / "in").write_text('{"id": 1, "op": "hello"}\n{"id": 2, "op": "hello"}')
    with (tmp_path / "in").open("rb") as given, (tmp_path / "out").open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "lab.clients.agent", stdin=given, stdout=out
        )
        assert await asyncio.wait_for(process.wait(), START) == 0
    assert len((tmp_path / "out").read_text().splitlines()) == 2


@pytest.mark.parametrize("line", [b"{", b"\xff", b"3", b'"x"', b"{}", b'{"id": 1.5}', b'{"id": [1]}'])
def test_what_is_no_request(line):
    assert parse_request(line)["id"] is None


async def test_starting_does_not_load_what_only_some_devices_need():
    code = "import sys, lab.clients.agent; print([n for n in ('slixmpp', 'omemo', 'oldmemo') if n in sys.modules])"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert (await process.communicate())[0].decode().strip() == "[]"


@pytest.mark.parametrize("name", ["random", "dns", "lab", "json", "slixmpp"])
async def test_a_file_in_the_current_folder_replaces_no_module(tmp_path, monkeypatch, name):
    (tmp_path / f"{name}.py").write_text("raise SystemExit('this file was not given to anybody')")
    monkeypatch.chdir(tmp_path)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *build_python_command("lab.clients.agent"), stdin=pipe, stdout=pipe, stderr=pipe
    )
    ask = {"id": 1, "op": "connect", "device": "d"}  # imports slixmpp and dnspython; without its fields it is refused
    answers, err = await talk(process, json.dumps(ask))
    assert (answers[0]["error"]["kind"], err, process.returncode) == ("usage", "", 0)


@pytest.mark.parametrize("address", ["127.0.0.2", None])
def test_connections_come_from_the_address_that_was_given(address):
    """Whatever opens them; without one the kernel chooses."""

    async def connect():
        seen = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(
            lambda _, writer: (seen.set_result(writer.get_extra_info("peername")[0]), writer.close()), "127.0.0.1", 0
        )
        async with server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.close()
            return await asyncio.wait_for(seen, START)

    with asyncio.Runner(loop_factory=lambda: build_loop(address)) as runner:
        assert runner.run(connect()) == (address or "127.0.0.1")
