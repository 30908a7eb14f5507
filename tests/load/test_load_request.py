"""What `load` and `study` ask for: the software of all servers, also one of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.errors import UserError
from lab.load.load_request import LoadRequest
from lab.load.study_execution import StudyRequest


def request(topology: str, software: str | None, **more: Any) -> LoadRequest:
    return LoadRequest.parse(
        topology=topology, users=30, length="1s", warmup="0s", workers=1, arrivals=None, body=None, seed=0, pin=False,
        bounds=None, runtime="processes", lab=None, runs=Path("runs"), software=software,
        **{"test": "neighbours", "rate": None, "find_limit": None, **more},
    )  # fmt: skip


def test_software_is_that_of_all_servers_on_which_the_lab_makes_accounts(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("name: mine\ncommand: [./serve]\n")
    asked = request("line:3,software=./mine.yaml+prosody", "ejabberd")
    assert [server.software for server in asked.topology.servers] == ["custom", "ejabberd", "custom"]
    asked = request("line:3", "./mine.yaml")
    assert {(one.software, one.custom.name, one.custom.folder, one.users) for one in asked.topology.servers} == {
        ("custom", "mine", str(tmp_path), 10)
    }


@pytest.mark.parametrize(
    ("software", "said"),
    [("external", "a load needs accounts"), ("./none.yaml", "there is no such file"), ("./odd.yaml", "odd.yaml:1:")],
)
def test_software_that_no_load_can_run_on_is_refused(tmp_path: Path, monkeypatch, software: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("odd.yaml").write_text("name: odd\n")
    with pytest.raises(UserError, match=said):
        request("pair", software)


def test_faults_that_would_never_act_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cut.yaml").write_text("faults: [{name: cut, action: partition, groups: [[a]], at: 1s}]\n")
    with pytest.raises(UserError, match="fault cut: begins at 1s, and the steady state has 1s: give a longer --for"):
        request("pair", None, faults="cut.yaml")
    with pytest.raises(UserError, match="--find-limit searches what servers can carry unbroken"):
        request("pair", None, faults="cut.yaml", find_limit="p99=1s,loss=0")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"encryption": "rot13"}, "encryption 'rot13' is unknown: use one of omemo, omemo:2, otr, plain"),
        ({"encryption": "openpgp"}, "is unknown"),
        ({"encryption": "otr", "rate": "900/s"}, "900 encrypted messages per second are more than 1 workers can send"),
        ({"encryption": "omemo:2", "test": "2*local+1*logins"}, "messages between two users only"),
        ({"encryption": "omemo", "security": "direct"}, "support STARTTLS only"),
    ],
)
def test_what_cannot_be_encrypted_is_refused_before_a_lab_is_started(asked: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        request("pair", None, **asked)


def test_a_study_compares_encryptions_on_each_topology(tmp_path: Path) -> None:
    arguments = {
        "topologies": ["pair", "line:3"], "software": [], "encryptions": ["plain", "omemo:2"], "seeds": 1,
        "test": "neighbours", "users": 6, "rate": "10/s", "length": "1s", "warmup": "0s", "workers": 1,
        "arrivals": None, "pin": False, "runtime": "processes",
    }  # fmt: skip
    asked = StudyRequest.parse(arguments, tmp_path)
    assert {title: one.load["encryption"] for title, one in asked.requests.items()} == {
        "pair plain": "plain", "pair omemo:2": "omemo:2", "line:3 plain": "plain", "line:3 omemo:2": "omemo:2",
    }  # fmt: skip
