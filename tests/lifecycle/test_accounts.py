"""Accounts by the words of people: found, made once, with a password that a server and a client take alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from lab.errors import PeerError, UserError
from lab.lifecycle.accounts import create_account, find_account, list_accounts, read_view, reserve
from lab.lifecycle.lab import Lab
from lab.plan.client_view import build_client_view
from lab.plan.layout import Layout
from lab.runtime.server_files import compute_scram_keys, generate_secret
from lab.servers.software import ScramKeys
from tests.network import labs


class StandIn:
    """What `create_account` needs of a lab."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.refuses = layout, False
        self.password, self.keys = generate_secret(layout)
        self.made: list[tuple[str, tuple[str, ...], ScramKeys | None]] = []

    async def create_accounts(self, server: str, users: list[str], keys: ScramKeys | None = None) -> None:
        if self.refuses:
            raise PeerError("the server refuses")
        self.made.append((server, tuple(users), keys))


@pytest.fixture
def lab(tmp_path: Path) -> StandIn:
    layout = Layout(tmp_path / "mine")
    layout.root.mkdir()
    layout.clients.write_text(build_client_view("mine", labs.plan()).dump())
    return StandIn(layout)


async def create(lab: StandIn, word: str, password: str | None = None) -> Any:
    return await create_account(cast(Lab, lab), read_view(lab.layout), word, password)


async def test_an_account_is_made_once_and_found_again(lab: StandIn) -> None:
    made = await create(lab, "alice@a")
    assert (made.jid, made.password) == ("alice@a.test", lab.password)
    assert lab.made == [("a", ("alice",), None)]
    assert find_account(lab.layout, read_view(lab.layout), "Alice@a.test") == made
    with pytest.raises(UserError, match=r"there is an account alice@a\.test already"):
        await create(lab, "alice@a.test")
    assert made in list_accounts(lab.layout, read_view(lab.layout))
    assert not reserve(lab.layout, "a", "alice")  # a scenario takes another name


async def test_a_password_of_its_own_is_the_accounts_alone(lab: StandIn) -> None:
    made = await create(lab, "bob@b", "geheim§")
    (_, _, keys) = lab.made[0]
    assert keys is not None and keys == compute_scram_keys("geheim§", keys.salt)
    assert find_account(lab.layout, read_view(lab.layout), "bob@b").password == "geheim§" == made.password
    assert lab.layout.account("b", "bob").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("password", ["", "with space", "tab\t", "ﬁne", "no\u00a0break"])
async def test_a_password_that_scram_would_change_is_refused(lab: StandIn, password: str) -> None:
    with pytest.raises(UserError, match="--password: use at least one character"):
        await create(lab, "bob@b", password)
    assert not lab.layout.person("b", "bob").exists()


async def test_where_the_server_refuses_nothing_is_left(lab: StandIn) -> None:
    lab.refuses = True
    with pytest.raises(PeerError):
        await create(lab, "alice@a")
    lab.refuses = False
    assert (await create(lab, "alice@a")).jid == "alice@a.test"


def test_who_has_no_account_is_not_found(lab: StandIn) -> None:
    with pytest.raises(UserError, match="make it with `xmpplab person alice@a --name mine`"):
        find_account(lab.layout, read_view(lab.layout), "alice@a")
    reserve(lab.layout, "a", "alice")  # by a scenario
    assert find_account(lab.layout, read_view(lab.layout), "alice@a").password == lab.password


def test_a_lab_of_another_version_is_an_error(lab: StandIn) -> None:
    for text in ("", "{}", "[1]"):
        lab.layout.clients.write_text(text)
        with pytest.raises(UserError, match="that this version can read: end it with `xmpplab down mine`"):
            read_view(lab.layout)
