"""Traffic: acts go where links lead, everybody has their part, and a seed says it all."""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import UserError
from lab.load.kinds import build_draw
from lab.load.model.spec import Endpoint, Load, Shard
from lab.load.workload.arrivals import parse_arrivals
from lab.load.workload.population import Population, list_contact_pairs, plan_contacts
from lab.load.workload.traffic import HOURLY, apply_mix, parse_traffic
from tests.load.samples import Act

STAR = {"hub": ("a", "b", "c"), "a": ("hub",), "b": ("hub",), "c": ("hub",), "island": ()}


def _load(links: dict[str, tuple[str, ...]] = STAR, users: int = 100) -> Load:
    endpoints = tuple(Endpoint(name, f"{name}.lab", "127.0.0.1", neighbours=others) for name, others in links.items())
    return Load(endpoints, users, "x", "")


def _acts(text: str, load: Load, shard: Shard, count: int = 500, seed: int = 1) -> list[Act]:
    draw = build_draw(parse_traffic(text), load, shard, seed)
    return [Act(*draw()) for _ in range(count)]


@st.composite
def _federations(draw: st.DrawFn) -> Load:
    servers = [f"s{n}" for n in range(draw(st.integers(1, 6)))]
    pairs = [(a, b) for a in servers for b in servers if a < b]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    links = {name: tuple(sum(((b,) * (a == name) + (a,) * (b == name) for a, b in chosen), ())) for name in servers}
    return _load(links, users=draw(st.integers(1, 60)))


@given(_federations(), st.integers(1, 4), st.sampled_from(["local", "neighbours", "social:degree=4", "social"]))
def test_messages_obey_links(load: Load, workers: int, text: str) -> None:
    for index in range(workers):
        try:
            acts = _acts(text, load, Shard(index, workers), count=50)
        except UserError:
            continue  # nobody there has anybody to write to, or there is nobody
        for act in acts:
            a, b = (load.endpoints[user % len(load.endpoints)] for user in (act.sender, act.receiver))
            assert act.kind == "message"
            assert act.sender % workers == index
            assert act.sender != act.receiver
            assert 0 <= act.receiver < load.users
            assert b.server == a.server or b.server in a.neighbours
            assert text != "local" or a == b
            assert text != "neighbours" or a != b


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
@pytest.mark.parametrize(("text", "servers"), [("local", "hub a b c island"), ("neighbours", "hub a b c")])
def test_every_server_and_person_sends(text: str, servers: str, workers: int) -> None:
    load = _load(users=105)
    senders: Counter[int] = Counter()
    for index in range(workers):
        try:
            senders.update(act.sender for act in _acts(text, load, Shard(index, workers), count=20_000 // workers))
        except UserError as error:
            assert (text, workers, index) == ("neighbours", 5, 4), "the worker that has the island's people only"
            assert "servers (5)" in str(error)
    can = [user for user in range(105) if list(STAR)[user % 5] in servers.split()]
    assert sorted(senders) == can
    if workers == 1:
        even = 20_000 / len(can)
        assert max(abs(senders[user] - even) for user in can) < 6 * even**0.5


def test_receivers_are_drawn_evenly() -> None:
    received = Counter(act.receiver for act in _acts("local", _load(), Shard(), count=40_000))
    assert len(received) == 100
    assert max(abs(count - 400) for count in received.values()) < 6 * 400**0.5


@pytest.mark.parametrize("text", ["local", "social:degree=4", "3*neighbours+1*logins", "realistic"])
def test_the_seed_decides(text: str) -> None:
    load = _load()
    assert _acts(text, load, Shard(1, 2)) == _acts(text, load, Shard(1, 2))
    assert _acts(text, load, Shard(1, 2)) != _acts(text, load, Shard(1, 2), seed=2)


def test_names_and_servers() -> None:
    people = Population(_load(users=7))
    assert [people.get_name(user) for user in range(7)] == ["load1"] * 5 + ["load2"] * 2
    assert [people.count_users(server) for server in range(5)] == [2, 2, 1, 1, 1]
    assert (people.get_route(0, 5), people.get_route(0, 1), people.get_route(6, 0)) == ("local", "hub->a", "a->hub")


def test_a_social_graph_is_like_people() -> None:
    ring = _load({f"s{n}": (f"s{(n + 1) % 6}", f"s{(n - 1) % 6}") for n in range(6)}, users=2000)
    known = plan_contacts(Population(ring), 8, seed=1)
    degrees = sorted(map(len, known))
    assert sum(degrees) / 2000 == pytest.approx(8, rel=0.05)
    assert degrees[1000] < 8 < degrees[-1] / 5, "a few know many"
    assert all(user in known[other] for user in range(2000) for other in known[user])
    assert all(user not in known[user] for user in range(2000))
    assert known == plan_contacts(Population(ring), 8, seed=1) != plan_contacts(Population(ring), 8, seed=2)
    traffic = parse_traffic("presence:degree=8")
    assert traffic.contacts(ring, 1) == known
    assert parse_traffic("local").contacts(ring, 1) == []


def test_rooms_hold_everybody_once_and_can_be_reached() -> None:
    load = _load(users=203)
    found = parse_traffic("room:size=20").rooms(load, seed=3)
    assert sorted(user for room in found for user in room.members) == list(range(203))
    assert max(len(room.members) for room in found) == 20
    assert any(len({user % 5 for user in room.members}) > 1 for room in found), "rooms across servers"
    for room in found:
        host = load.endpoints[room.server]
        assert all(load.endpoints[user % 5].server in (host.server, *host.neighbours) for user in room.members)
    for act in _acts("room:size=20", load, Shard(1, 2), seed=3):
        assert act.sender in found[act.receiver].members
    assert parse_traffic("local").rooms(load, 3) == ()


def test_a_mix_has_its_weights() -> None:
    traffic = parse_traffic("6*local+3*archive + 1*upload:size=2KB")
    assert traffic.actions == {"message", "archive", "upload"}
    draw = build_draw(traffic, _load(), Shard(), 1)
    kinds = Counter(draw()[0] for _ in range(10_000))
    for kind, share in [("message", 0.6), ("archive", 0.3), ("upload", 0.1)]:
        assert kinds[kind] / 10_000 == pytest.approx(share, abs=0.03)
    uploads = [act for act in (Act(*draw()) for _ in range(200)) if act.kind == "upload"]
    assert uploads
    assert all(act.size == 2000 and act.receiver == act.sender for act in uploads)


def test_profiles() -> None:
    realistic = apply_mix("realistic", _load(users=1000))
    rate = parse_arrivals(realistic.arrivals).get_rate(0)
    assert rate * HOURLY["social:degree=8"] / sum(HOURLY.values()) == pytest.approx(1000 / 600), "a message each 10 min"
    assert parse_traffic(realistic.traffic).actions == {
        "message", "presence", "login", "roster", "archive"
    }  # fmt: skip
    saturate = apply_mix("saturate", _load())
    assert (saturate.traffic, parse_arrivals(saturate.arrivals).open) == ("saturate", False)
    assert apply_mix("saturate", _load({"only": ()})).traffic == "local"
    with pytest.raises(UserError, match="realistic, saturate"):
        apply_mix("lazy", _load())


def test_a_pick_takes_as_many_steps_however_many_people_there_are() -> None:
    few, many = (
        _lines(build_draw(parse_traffic("neighbours"), _load(users=users), Shard(), 1)) for users in (100, 10_000)
    )
    assert 0 < many <= few


def _lines(act: Callable[[], object]) -> int:
    """Lines of Python that a hundred of them run through."""
    lines = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for _ in range(100):
            act()
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("everybody", "there is no kind 'everybody'"),
        ("social:size=5", "social has the option degree, not size"),
        ("local:size=5", "local has no options"),
        ("room:size=x", "no kind 'room:size=x'"),
        ("room:size=5KB", "'5KB' is no whole number"),
        ("0*local+1*logins", "has the weight 0"),
        ("room:size=5+room:size=6", "room occurs twice"),
        ("upload:size=100", "100 has no unit"),
    ],
)
def test_what_is_wrong_is_said_with_what_there_is(text: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_traffic(text)
    assert told.replace("100 has", "'100' has") in str(caught.value)
    assert "social:degree=8" in str(caught.value)
    assert "realistic" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "users", "shard", "told"),
    [
        ("social:degree=3", 50, Shard(), "an even number"),
        ("room:size=1", 50, Shard(), "two people or more"),
        ("local", 5, Shard(), "nobody has anybody to write to"),
        ("local", 2, Shard(2, 3), "2 users for 3 workers"),
    ],
)
def test_what_cannot_be_done_is_said_before(text: str, users: int, shard: Shard, told: str) -> None:
    with pytest.raises(UserError, match=told):
        build_draw(parse_traffic(text), replace(_load(), users=users), shard, 1)


def test_pairs_of_contacts_are_each_listed_once_and_follow_from_the_seed() -> None:
    pairs = list_contact_pairs(60, 4, 1)
    assert all(0 <= one < other < 60 for one, other in pairs)
    assert len(set(pairs)) == len(pairs)
    assert 60 * 3 // 2 <= len(pairs) <= 60 * 4 // 2
    assert list_contact_pairs(60, 4, 1) == pairs != list_contact_pairs(60, 4, 2)
