"""The graph as a script sees it."""

from typing import Any

import pytest

from lab.errors import NotApplicable, UserError
from lab.federation import Federation


def test_servers_and_their_neighbours(federation: Federation) -> None:
    assert [one.name for one in federation.servers] == ["island", "home", "public"]
    assert [one.name for one in federation.server("home").neighbours] == ["island", "public"]
    with pytest.raises(UserError, match="no server 'mars' in this topology: there are island, home, public"):
        federation.server("mars")


def test_roles(federation: Federation) -> None:
    assert [one.name for one in federation.linked_pair()] == ["island", "home"]
    assert [one.name for one in federation.unlinked_pair()] == ["island", "public"]
    assert federation.hub().name == "home"


def test_a_role_that_the_topology_cannot_give_is_not_applicable(federation: Federation) -> None:
    from tests.checks.sample_history import plan

    federation.lab.plan = plan(links=())
    with pytest.raises(NotApplicable, match="no two servers of this topology are linked"):
        federation.linked_pair()
    with pytest.raises(NotApplicable, match="no server of this topology has a link"):
        federation.hub()
    federation.lab.plan = plan(links=(("island", "home"), ("home", "public"), ("island", "public")))
    with pytest.raises(NotApplicable, match="every two servers of this topology are linked"):
        federation.unlinked_pair()


def test_links_in_words(federation: Federation) -> None:
    island, home, public = federation.servers
    assert [str(federation.link(island, one)) for one in (home, public)] == ["island -> home", "island -/- public"]
    assert federation.link(home, home).linked


async def test_people_are_one_on_each_server(federation: Federation) -> None:
    people = await federation.people(encryption="omemo")
    assert [one.jid for one in people] == ["alice@island.test", "bob@home.test", "carol@public.test"]
    assert {one.encryption for one in people} == {"omemo"}


async def test_nobody_is_befriended_with_themselves(federation: Federation) -> None:
    somebody: Any = "alice@island.test"
    with pytest.raises(UserError, match=r"befriend: alice@island\.test would be their own friend: name two people"):
        await federation.befriend(somebody, somebody)
