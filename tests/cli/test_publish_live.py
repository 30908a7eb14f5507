"""A lab that is published on an address of this machine: who connects there reaches its servers, until it ends."""

from __future__ import annotations

import random
import re
import secrets
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtimes import CONTAINERS, PROCESSES

pytestmark = [pytest.mark.live, pytest.mark.slow]

HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
    b"xmlns:stream='http://etherx.jabber.org/streams' to='%s' version='1.0'>"
)
DEADLINE = 240  # seconds


def xmpplab(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "lab.cli", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE, check=False)


@pytest.mark.parametrize("runtime", [PROCESSES, CONTAINERS])
def test_clients_reach_each_server_until_the_lab_ends(runtime: str) -> None:
    name, address = f"public-{secrets.token_hex(3)}", f"127.0.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
    words = ("up", "pair,users=1", "--name", name, "--runtime", runtime, "--publish", address)
    done = xmpplab(*words)
    try:
        assert done.returncode == 0, done.stderr
        said = done.stderr
        assert f"Warning: everybody who reaches {address}" in said
        authority = re.search(r"(/\S+/authority\.pem)", said)
        assert authority
        trust = ssl.create_default_context(cafile=authority[1])
        assert Path(authority[1]).is_file()
        for again in (False, True):  # a second time it takes the place of the first
            if again:
                assert xmpplab(*words).returncode == 0
            for domain, port in (("a.test", 5223), ("b.test", 5323)):
                with (
                    socket.create_connection((address, port), DEADLINE) as plain,
                    trust.wrap_socket(plain, server_hostname=domain) as stream,
                ):
                    stream.sendall(HEADER % domain.encode())
                    got = b""
                    while b"SCRAM-SHA-1" not in got and (data := stream.recv(4096)):
                        got += data
                    assert b"SCRAM-SHA-1" in got
        with socket.socket() as held:
            held.bind((other := address.rpartition(".")[0] + ".0", 5222))
            held.listen()
            taken = xmpplab(*words[:-1], other)
            assert taken.returncode == 69 and "port 5222 is in use there" in taken.stderr
        assert xmpplab(*words).returncode == 0
        assert "is published no longer" in xmpplab(*words[:-2]).stderr
        with pytest.raises(ConnectionRefusedError), socket.create_connection((address, 5223), DEADLINE):
            pass
    finally:
        assert xmpplab("down", name).returncode == 0
    with pytest.raises(ConnectionRefusedError), socket.create_connection((address, 5223), DEADLINE):
        pass
