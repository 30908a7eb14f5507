"""Configurations of client programs: who may read them, and what is refused."""

from __future__ import annotations

import json
import os
import sqlite3
import xml.etree.ElementTree as ET
from contextlib import closing
from pathlib import Path

import pytest

from lab.errors import UserError
from lab.lifecycle.programs import PROGRAMS, find_client
from lab.lifecycle.programs.program import write_profile
from lab.plan.client_view import Account, build_client_view
from tests.network import labs

PASSWORD = "s3cret&<x>"
VIEW = build_client_view("mine", labs.plan(network="127.91", features=("+websocket",)))
ACCOUNT = Account("alice", VIEW.servers[0], PASSWORD)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_profile_is_for_its_owner_only_and_has_the_password(name: str, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_profile(find_client(name), ACCOUNT, tmp_path / "home")
    finally:
        os.umask(before)
    found = [tmp_path / "home", *(tmp_path / "home").rglob("*")]
    assert {one.stat().st_mode & 0o777 for one in found if one.is_file()} == {0o600}
    assert {one.stat().st_mode & 0o777 for one in found if one.is_dir()} == {0o700}
    text = "".join(one.read_text(errors="replace") for one in found if one.is_file())
    assert PASSWORD in text or "s3cret&amp;&lt;x&gt;" in text
    assert "alice@a.test" in text


def test_pidgins_files_are_xml_and_dinos_account_is_one_row(tmp_path: Path) -> None:
    write_profile(find_client("Pidgin"), ACCOUNT, tmp_path / "pidgin")
    assert ET.parse(tmp_path / "pidgin/.purple/accounts.xml").findtext(".//password") == PASSWORD
    write_profile(find_client("dino"), ACCOUNT, tmp_path / "dino")
    with closing(sqlite3.connect(tmp_path / "dino/.local/share/dino/dino.db")) as database:
        assert database.execute("SELECT bare_jid, password FROM account").fetchall() == [("alice@a.test", PASSWORD)]


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "no" / "parent"):
        with pytest.raises(UserError, match=str(folder)):
            write_profile(find_client("profanity"), ACCOUNT, folder)
    assert not list(tmp_path.iterdir())


def test_an_unknown_client_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match="dino, gajim, pidgin"):
        find_client("kopete")


def test_converse_is_led_to_its_servers_websocket_and_to_a_page_by_url(tmp_path: Path) -> None:
    home = tmp_path / "a #home"
    converse = find_client("converse")
    write_profile(converse, ACCOUNT, home)
    settings = (home / "converse/settings.js").read_text()
    assert json.loads(settings.removeprefix("export default ").removesuffix(";\n"))["websocket_url"] == (
        "wss://a.test:5281/xmpp-websocket"
    )
    assert converse.build_command(home)[-1] == f"file://{tmp_path}/a%20%23home/converse/index.html"


def test_converse_is_refused_where_its_server_has_no_websocket(tmp_path: Path) -> None:
    server = build_client_view("mine", labs.plan(network="127.91")).servers[0]
    with pytest.raises(UserError, match=r"a has none: write `features: \[websocket\]`"):
        write_profile(find_client("converse"), Account("alice", server, PASSWORD), tmp_path / "home")
    assert not list(tmp_path.iterdir())
