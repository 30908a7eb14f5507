"""What a load makes of a topology and a lab, a job of a line, and cores of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lab.declarations.links import Conditions
from lab.declarations.load_users import load_user_names
from lab.errors import UserError
from lab.load.coordinator.provisioning import adapt_topology, check_accounts, find_endpoints, list_remarks
from lab.load.metrics.cpu import CpuPinning, split_cores
from lab.load.model.job import Job
from lab.load.model.spec import Load, Shard
from lab.load.workload.population import Population
from lab.plan.build import build
from lab.plan.model import RuntimeFacts
from lab.topology.spec import Custom, Feed, Link, Server, Topology

FACTS = RuntimeFacts(runtime="processes", network="127.91.0.0/16", folders="/x/{server}")
SERVERS = tuple(Server(name, f"{name}.test", "prosody", "13.0") for name in "abc")
SLOW = Link("b", "c", forward=Conditions(latency=0.02))
LINE = Topology("line", "", SERVERS, (Link("a", "b"), SLOW))


def test_links_without_conditions_are_direct_and_servers_silent() -> None:
    made = adapt_topology(LINE)
    assert [link.direct for link in made.links] == [True, False]
    assert {server.feed for server in made.servers} == {Feed.OFF}
    assert list_remarks(build(made, FACTS)) == ["relayed links: b - c; 1 are direct"]


def test_a_lab_that_was_not_made_for_a_load_says_so() -> None:
    said = list_remarks(build(LINE, FACTS))
    assert said[0] == "relayed links: a - b, b - c; none is direct"
    assert said[1].startswith("a, b, c send a feed of their stanzas")


def test_users_live_where_accounts_can_be_made() -> None:
    topology = replace(LINE, servers=(*SERVERS[:2], Server("c", "c.test", "scripted", "")))
    plan = build(topology, FACTS)
    assert [(one.server, one.neighbours) for one in find_endpoints(plan)] == [("a", ("b",)), ("b", ("a", "c"))]
    assert any("no users on c" in text for text in list_remarks(plan))
    alone = Topology("x", "", (topology.servers[2],), ())
    with pytest.raises(UserError, match="no server can have users"):
        find_endpoints(build(alone, FACTS))


OWN = Server("own", "own.test", "custom", "", users=8, custom=Custom("mine", ("./serve",)))


def test_a_server_with_a_list_of_accounts_has_as_many_of_a_load_as_it_needs() -> None:
    topology = Topology("x", "", (SERVERS[0], OWN), (Link("a", "own"),))
    assert [server.users for server in adapt_topology(topology, 31).servers] == [0, 16]
    assert [server.users for server in adapt_topology(topology, 4).servers] == [0, 8]
    load = Load(find_endpoints(build(adapt_topology(topology, 31), FACTS)), 31, "", "")
    assert load_user_names(16)[-1] == Population(load).get_name(30) == "load16"
    check_accounts(adapt_topology(topology, 31), load)
    with pytest.raises(UserError, match=r"the load has 15 users on own, .* list of 8: give it `users: 15`"):
        check_accounts(topology, load)
    with pytest.raises(UserError, match=r"presence needs contacts.* on own"):
        check_accounts(adapt_topology(topology, 31), replace(load, traffic="presence"))
    assert [one.server for one in find_endpoints(build(topology, FACTS), listed=False)] == ["a"]


def test_nobody_of_a_load_is_on_a_server_with_an_empty_list() -> None:
    topology = Topology("x", "", (SERVERS[0], replace(OWN, users=0)), (Link("a", "own"),))
    assert adapt_topology(topology, 30).servers[1].users == 0
    plan = build(topology, FACTS)
    assert [one.server for one in find_endpoints(plan)] == ["a"]
    assert any("no users on own" in text for text in list_remarks(plan))


def test_a_job_comes_back_as_it_was() -> None:
    job = Job("pair", {"users": 5, "seconds": 2}, 3, Path("/runs/x"), True, Shard(1, 2), True)
    assert Job.decode(job.encode()) == job
    assert job.list_shards() == [Shard(3, 6), Shard(4, 6), Shard(5, 6)]
    assert Job.decode('{"lab": "pair"}') == Job("pair")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "a job is one JSON object"),
        ("[]", "a job is one JSON object"),
        ('{"load": {}}', "lab"),
        ('{"lab": "x", "version": 9}', "version 9"),
        ('{"lab": "x", "load": {"password": "y"}}', "no field 'password'"),
        ('{"lab": "x", "load": {"users": "many"}}', "users of a load must be int"),
        ('{"lab": "x", "load": {"users": true}}', "users of a load must be int"),
        ('{"lab": "x", "workers": 0}', "at least one worker"),
        ('{"lab": "x", "part": {"index": 2, "of": 2}}', "part 2 of 2"),
    ],
)
def test_a_job_that_is_wrong_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Job.decode(text)


def test_cores_are_dealt() -> None:
    assert split_cores(1, [0, 1]) == ([0], [1])
    assert split_cores(2, [4, 5, 6, 7]) == ([4, 5], [6, 7])
    with pytest.raises(UserError, match=r"use at most 1 worker$"):
        split_cores(2, [0, 1])
    with pytest.raises(UserError, match="remove --pin"):
        split_cores(1, [0])


def test_pinned_processes_get_back_what_they_had() -> None:
    program = "import subprocess, sys; subprocess.run(['sleep', '60'])"
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            while not (child := children.read_text().split()):
                assert process.poll() is None
            had, core = os.sched_getaffinity(process.pid), min(os.sched_getaffinity(0))
            pinning = CpuPinning()
            pinning.pin(process.pid, [core])
            assert os.sched_getaffinity(process.pid) == os.sched_getaffinity(int(child[0])) == {core}
            pinning.restore()
            assert os.sched_getaffinity(process.pid) == os.sched_getaffinity(int(child[0])) == had
        finally:
            process.terminate()
            for pid in child:
                os.kill(int(pid), 15)


def test_a_process_that_cannot_do_its_job_says_why(tmp_path: Path) -> None:
    for job, kind in (({"lab": "nobodys-lab"}, "no lab nobodys-lab"), ({"lab": "x", "folder": "/nowhere"}, "/nowhere")):
        done = subprocess.run(
            [sys.executable, "-m", "lab.load"],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            timeout=30,
            env={**os.environ, "XMPPLAB_HOME": str(tmp_path)},
        )
        assert done.returncode == 1, done.stderr
        last = json.loads(done.stdout.splitlines()[-1])
        assert (last["event"], last["kind"]) == ("failed", "UserError")
        assert kind in last["message"]
