"""Measures of who sees how much: shares, the index and its bands, how few see half, how few cut half."""

from dataclasses import replace

import pytest

from lab.history.events import NotSent, Sent
from lab.metrics.concentration import compute_concentration, concentration
from lab.metrics.conversation_share import compute_shares, conversation_share
from lab.metrics.conversations import Conversations, deal_people, find_smallest, plan_conversations, read_conversations
from lab.metrics.half_disconnected import compute_half_disconnected
from lab.metrics.half_seen import compute_half_seen
from lab.metrics.record import RunRecord
from lab.topology.files import load
from tests.checks.sample_history import SampleHistory


def seen(topology, **observers):
    found = {("x", pair): frozenset(names.split()) for pair, names in observers.items()}
    return Conversations(load(topology), found, {"a": 2, "b": 2, "c": 2})


def spread(parties):
    """As many servers as parties, each alone with one conversation."""
    names = [server.name for server in load(f"full-mesh:{parties}").servers]
    return Conversations(
        load(f"full-mesh:{parties}"), {("x", name): frozenset([name]) for name in names}, dict.fromkeys(names, 1)
    )


def three():
    told = SampleHistory()
    alice, bob, carol = (told.device(*one) for one in (("alice", "island"), ("bob", "home"), ("carol", "public")))
    told.say(alice, bob)
    told.say(bob, carol)
    told.say(alice, carol)  # no link: island alone sees the attempt
    return told


def test_the_share_is_of_all_conversations_also_of_those_that_bounced() -> None:
    told = three()
    found = conversation_share(RunRecord(tuple(told.events), told.plan))
    assert [(one.server, one.people, one.seen) for one in found] == [("island", 1, 2), ("home", 1, 2), ("public", 1, 1)]
    assert [one.share for one in found] == pytest.approx([2 / 3, 2 / 3, 1 / 3])


def test_without_a_feed_a_share_is_unknown_and_so_is_what_depends_on_all() -> None:
    told = three()
    told.events = [one for one in told.events if getattr(one, "server", "") != "public"]
    record = RunRecord(tuple(told.events), told.plan)
    assert [one.seen for one in conversation_share(record)] == [2, 2, None]
    assert [one.hhi for one in concentration(record)] == [None, None]
    half = compute_half_seen(read_conversations(record))[0]
    assert (half.needed, half.why) == (None, "what public saw is unknown")


@pytest.mark.parametrize(
    ("parties", "hhi", "band"),
    [
        (1, 10_000, "highly concentrated"),
        (4, 2500, "highly concentrated"),
        (5, 2000, "moderately concentrated"),
        (7, 1428.57, "unconcentrated"),
        (101, 99.01, "highly competitive"),
    ],
)
def test_the_index_has_the_bands_of_markets(parties, hhi, band) -> None:
    conversations = spread(101 if parties == 101 else 10)
    kept = dict(list(conversations.observers.items())[:parties])
    found = compute_concentration(replace(conversations, observers=kept))[0]
    assert found.hhi == pytest.approx(hhi, abs=0.01)
    assert found.band == band


def test_servers_of_one_operator_or_one_network_count_as_one() -> None:
    topology = load("full-mesh:4")
    servers = tuple(
        replace(server, operator="big" if place < 3 else "", hosting="cloud")
        for place, server in enumerate(topology.servers)
    )
    conversations = replace(spread(4), topology=replace(topology, servers=servers))
    operators, networks = compute_concentration(conversations)
    assert (operators.hhi, networks.hhi) == (75**2 + 25**2, 10_000)
    assert [one.names for one in compute_half_seen(conversations)] == [("big",), ("cloud",)]


def test_the_smallest_set_is_found_where_the_greedy_choice_is_larger() -> None:
    # x has most, and takes from both of the two that have everything together.
    observed = {frozenset("lx"): 3, frozenset("rx"): 3, frozenset("l"): 2, frozenset("r"): 2}
    assert find_smallest(observed, 6).needed == 1
    found = find_smallest(observed, 10)
    assert (found.needed, found.names, found.exact) == (2, ("l", "r"), True)


def test_of_many_servers_the_greedy_choice_is_said_to_be_an_upper_bound() -> None:
    observed = {frozenset((f"s{one}", f"s{other}")): 1 for one in range(60) for other in range(one)}
    found = find_smallest(observed, len(observed) / 2)
    assert found.needed == 18  # 60 * 59 / 2 - 42 * 41 / 2 pairs have one of 18
    assert not found.exact


def test_losing_a_server_takes_the_pairs_of_its_people_only() -> None:
    line = seen("line,servers=3")
    names = [server.name for server in line.topology.servers]
    people = dict(zip(names, (1, 2, 1), strict=True))
    # Pairs: one within the middle, two on each of the links; the ends are not linked.
    found = compute_half_disconnected(replace(line, people=people))
    assert (found.needed, found.names) == (1, (names[1],))
    assert compute_half_disconnected(replace(line, people={names[0]: 1, names[2]: 1})).needed is None


def test_people_are_dealt_by_the_users_of_servers_and_the_conversations_stay_the_same() -> None:
    giant, small = load("one-giant"), load("many-small")
    homes = deal_people(giant.servers, 42)
    assert [homes.count(server.name) for server in giant.servers] == [30, 4, 4, 4]
    pairs = [(0, 1), (1, 2), (2, 30)]
    found = [plan_conversations(one, pairs, 40) for one in (giant, small)]
    assert found[0].observers.keys() == found[1].observers.keys()
    assert max(one.share or 0 for one in compute_shares(found[0])) == 1.0


def test_shares_are_rounded_fairly_and_servers_without_users_get_people_alike() -> None:
    giant, pair = load("one-giant"), load("pair,users=0")
    homes = deal_people(giant.servers, 5)
    assert [homes.count(server.name) for server in giant.servers] == [4, 1, 0, 0]
    assert deal_people(pair.servers, 4) == ["a", "b", "a", "b"]


def test_a_link_that_does_not_come_up_joins_nobody() -> None:
    topology = load("pair,users=1")
    down = replace(topology, links=tuple(replace(link, comes_up=False) for link in topology.links))
    found = plan_conversations(down, [(0, 1)], 2)
    assert list(found.observers.values()) == [frozenset()]
    assert compute_half_disconnected(found).needed is None
    assert compute_half_disconnected(plan_conversations(topology, [(0, 1)], 2)).needed == 1


def test_what_the_lab_itself_or_somebody_in_a_false_name_sent_or_what_never_left_is_no_conversation() -> None:
    told = three()
    known = read_conversations(RunRecord(tuple(told.events), told.plan)).observers
    sent = {"sender": "x@home.test/x", "stream": "s", "encryption": "plain"}
    told.add(Sent, message="s1", receiver="y@home.test", marker=True, **sent)
    told.add(Sent, message="s2", receiver="z@home.test", claimed="eve@home.test", **sent)
    told.add(Sent, message="s3", receiver="u@home.test", **sent)
    told.add(Sent, message="s5", receiver="home.test", **sent)
    told.add(NotSent, message="s3", reason="no keys")
    assert read_conversations(RunRecord(tuple(told.events), told.plan)).observers == known
    told.add(Sent, message="s4", receiver="w@home.test", **sent)
    found = read_conversations(RunRecord(tuple(told.events), told.plan)).observers
    assert found == {**known, ("w@home.test", "x@home.test"): frozenset()}


def test_a_planned_conversation_without_a_link_is_seen_by_nobody() -> None:
    topology = load("hidden-island,users=1")
    homes = deal_people(topology.servers, 3)
    ends = homes.index("island"), homes.index("public")
    found = plan_conversations(topology, [ends], 3)
    assert list(found.observers.values()) == [frozenset()]
    assert compute_half_seen(found)[0].needed is None
