"""Loads on servers of one's own, and on servers that present a wrong certificate to the load's users."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.errors import PeerError
from lab.lifecycle import up as labs
from lab.lifecycle.lab import Lab
from lab.load.capacity.idle import LabIdleDetector
from lab.load.coordinator.provisioning import adapt_topology, build_load, make_accounts
from lab.load.model.spec import Load
from lab.load.worker.encrypted_client import EncryptedClient
from lab.topology.files import load as topology_of
from lab.topology.spec import Certificate
from tests.cli.test_study_live import study_code
from tests.load.engine_runs import driven
from tests.runtime.helpers import pair
from tests.runtime.own_server import description

pytestmark = pytest.mark.live

# The second server of one's own is alone: with that certificate its users can only write to each other.
TOPOLOGY = """
name: own
teaches: Two servers of one's own, one of them with a wrong certificate.
servers:
  mine: {software: ./mine.yaml}
  other: {}
  odd: {software: ./mine.yaml, certificate: expired, users: 1}
links: [{between: [mine, other]}]
"""
OPTIONS = ["-r", "40/s", "--for", "2s", "--warmup", "0s", "--runtime", "processes", "-f", "json"]


def _xmpplab(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lab.cli", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)


async def test_users_of_a_load_are_on_ones_own_servers(tmp_path: Path) -> None:
    """Also more of them than `users` of the topology says, and where the certificate is wrong."""
    (tmp_path / "mine.yaml").write_text(await description())
    (tmp_path / "own.yaml").write_text(TOPOLOGY)
    done = _xmpplab(tmp_path, "load", "neighbours+local", "-t", "own.yaml", "-u", "30", *OPTIONS)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    routes = {row["route"]: row for row in told["routes"]}
    assert {*routes} == {"mine->other", "other->mine", "local", "all"}
    assert routes["all"]["sent"] == routes["all"]["received"] == 80
    assert "no users on" not in done.stderr + (tmp_path / told["folder"] / "report.txt").read_text()


@pytest.mark.slow
async def test_a_study_has_users_on_ones_own_servers(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(await description())
    shapes = ["-t", "pair,software=./mine.yaml+prosody", "-t", "pair"]
    done = _xmpplab(tmp_path, "study", *shapes, "--seeds", "1", "-u", "20", *OPTIONS)
    told = json.loads(done.stdout)
    assert done.returncode == study_code(tmp_path / told["folder"]), done.stderr
    assert {(row["topology"], row["loss"]) for row in told["table"]} == {(shapes[1], 0), ("pair", 0)}
    for result in (tmp_path / told["folder"]).glob("*/result.json"):
        assert {"a->b", "b->a"} <= {*json.loads(result.read_text())["result"]["routes"]}


@pytest.mark.slow
async def test_whether_ones_own_server_is_idle_is_seen(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(await description())
    (tmp_path / "own.yaml").write_text(TOPOLOGY.replace("mine: {", "mine: {users: 1, "))
    lab = await labs.up(adapt_topology(topology_of(tmp_path / "own.yaml"), 3), runtime="processes", owned=True)
    try:
        async with LabIdleDetector(lab) as detector:
            assert await detector.wait(120.0) == ""
    finally:
        await lab.down()


async def _enter(lab: Lab, load: Load) -> None:
    """A user of a Locust task logs in on each server."""
    asked = [{"id": number, "op": "enter", "user": "task", "number": number} for number in range(len(load.endpoints))]
    lines = [json.dumps(one) + "\n" for one in ({"lab": lab.name}, *asked)]
    bridge = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lab.load.coordinator.locust_bridge", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    bridge.stdin.write("".join(lines).encode())
    answers: dict[int, Any] = {}
    async with asyncio.timeout(120):
        while len(answers) < len(asked):
            answer = json.loads(await bridge.stdout.readline())
            if "id" in answer:
                answers[answer["id"]] = answer.get("ok", {}).get("jid", answer)
        bridge.stdin.close()
        await bridge.wait()
    assert answers == {number: f"task@{one.domain}" for number, one in enumerate(load.endpoints)}


async def _encrypt(load: Load) -> None:
    """A user of an encrypted load logs in on each server."""
    for number, endpoint in enumerate(load.endpoints):
        client = EncryptedClient("load1", number, endpoint, load, lambda *_: None)
        await client.connect()
        await client.disconnect()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Certificate.EXPIRED, Certificate.SELF_SIGNED])
async def test_exactly_a_servers_own_wrong_certificate_is_accepted(kind: Certificate) -> None:
    topology = pair("ejabberd", "ejabberd")
    servers = tuple(replace(server, certificate=kind) for server in topology.servers)
    lab = await labs.up(adapt_topology(replace(topology, servers=servers, links=())), runtime="processes", owned=True)
    try:
        load = build_load(lab, {"users": 4, "traffic": "local", "arrivals": "20/s", "seconds": 1.0, "warmup": 0.0})
        await make_accounts(lab, load)
        told = await driven(load)
        await _enter(lab, load)
        await _encrypt(load)
        assert (told.result.total.sent, told.result.total.received) == (20, 20)
        first, second = load.endpoints
        for trusted in (second.trusted, ""):
            with pytest.raises(PeerError, match="CERTIFICATE_VERIFY_FAILED"):
                await driven(replace(load, endpoints=(replace(first, trusted=trusted), second)))
    finally:
        await lab.down()
