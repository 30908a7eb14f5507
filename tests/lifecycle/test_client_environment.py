"""What programs are told of a lab: variables that a shell reads back as they were meant."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lab.cli.output import print_client_lines
from lab.errors import UserError
from lab.lifecycle.client_environment import describe_lab, format_variables, list_variables
from lab.lifecycle.client_lines import list_client_lines
from lab.plan.client_view import Account, ClientView, build_client_view, split_person
from lab.plan.layout import Layout
from lab.runtime.server_files import generate_secret
from lab.system.files import make_private_folder, write_private
from tests.network import labs

HARD = 'it\'s $HOME "quoted" \\ `x`'


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    generate_secret(layout)
    return layout


def view() -> ClientView:
    return build_client_view("mine", labs.plan(network="127.91"))


def accounts() -> list[Account]:
    a, b = view().servers
    return [Account("alice", a, HARD), Account("bob.b-b", b, "plain")]


def test_a_shell_reads_back_what_was_meant(layout: Layout) -> None:
    variables = list_variables(layout, view(), accounts())
    script = (
        format_variables(variables, export=True) + "python3 -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    )
    shown = json.loads(subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout)
    assert {name: shown[name] for name in variables} == variables
    assert shown["XMPPLAB_A_ALICE_PASSWORD"] == HARD
    assert (shown["XMPPLAB_B_BOB_B_B_JID"], shown["XMPPLAB_A_DOMAIN"]) == ("bob.b-b@b.test", "a.test")
    assert shown["XMPPLAB_DNS"].startswith("127.91.0.2:")


def test_the_mark_of_the_labs_own_processes_is_not_among_them(layout: Layout) -> None:
    assert "XMPPLAB_LAB" not in list_variables(layout, view(), accounts())


def test_the_websocket_of_servers_that_have_it(layout: Layout) -> None:
    there = build_client_view("mine", labs.plan(network="127.91", features=("+websocket",)))
    found = "wss://a.test:5281/xmpp-websocket"
    assert list_variables(layout, there, [])["XMPPLAB_A_WEBSOCKET"] == found
    assert [one["websocket"] for one in describe_lab(layout, there, [])["servers"]] == [
        found,
        found.replace("a.", "b."),
    ]
    assert "XMPPLAB_A_WEBSOCKET" not in list_variables(layout, view(), [])


def test_secrets_are_below_one_key(layout: Layout) -> None:
    data = describe_lab(layout, view(), accounts())
    assert data.pop("secret")["passwords"] == {"alice@a.test": HARD, "bob.b-b@b.test": "plain"}
    assert HARD not in json.dumps(data) and [one["name"] for one in data["servers"]] == ["a", "b"]


def test_no_line_of_a_client_has_the_password() -> None:
    alice = accounts()[0]
    lines = list_client_lines("mine", alice, "bob@b.test")
    assert len(lines) == 5
    assert all("--as alice@a" in line and HARD not in line for _, line in lines)


def test_lines_of_clients_are_words_of_a_shell_whatever_names_are() -> None:
    lines = dict(list_client_lines("mine", Account("$(x);y", view().servers[0], "secret"), "`z`@b.test"))
    for line in lines.values():
        words = shlex.split(line.removeprefix("echo hello | "))
        assert words[:6] == ["xmpplab", "with", "--name", "mine", "--as", "$(x);y@a"]
    assert shlex.split(shlex.split(lines["go-sendxmpp"])[-1])[-1] == "`z`@b.test"


def test_lines_of_clients_write_to_somebody_who_is_there(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    nobody = replace(view(), servers=tuple(replace(one, users=0) for one in view().servers))
    layout.clients.write_text(nobody.dump())
    print_client_lines(layout, accounts()[0])
    assert '"$XMPPLAB_PASSWORD" alice@a.test' in capsys.readouterr().out  # to themselves: there is nobody else
    make_private_folder(layout.account("b", "x").parent)
    write_private(layout.account("b", "carol"), "secret")
    print_client_lines(layout, accounts()[0])
    shown = capsys.readouterr().out
    assert '"$XMPPLAB_PASSWORD" carol@b.test' in shown and "secret" not in shown


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("x@c", r"no server 'c' in the topology two; there are a \(a\.test\), b \(b\.test\)"),
        ("x", "'x' is no person"),
        ("x@a/y", "is no person"),
        ("@a", "is no person"),
    ],
)
def test_who_can_be_no_person_of_a_topology_is_an_error_before_it_is_started(word: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        split_person(word, labs.plan().topology.servers, "the topology two")
    assert split_person("x@B.test.", labs.plan().topology.servers, "")[1].name == "b"
