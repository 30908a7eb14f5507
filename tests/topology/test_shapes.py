"""Named shapes: what each promises, for any size and seed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.topology.facts import Facts, compute_facts
from lab.topology.files import load
from lab.topology.shapes import KINDS

CONNECTED = sorted(set(KINDS) - {"islands", "pair", "grid"})


def _facts(text: str) -> Facts:
    return compute_facts(load(text))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(CONNECTED), st.integers(min_value=3, max_value=40), st.integers(min_value=0, max_value=1000))
def test_connected_simple_and_the_same_again(kind: str, size: int, seed: int) -> None:
    text = f"{kind}:{size},seed={seed}"
    topology = load(text)
    assert topology == load(text)
    assert len(topology.servers) == size
    assert compute_facts(topology).components == 1
    assert len({link.pair for link in topology.links}) == len(topology.links)
    assert all(len(link.pair) == 2 for link in topology.links)


@pytest.mark.parametrize("kind", ["random", "small-world", "scale-free"])
def test_another_seed_is_another_graph(kind: str) -> None:
    drawn = {load(f"{kind}:20,seed={seed}").links for seed in range(5)}
    assert len(drawn) == 5


@pytest.mark.parametrize(
    ("text", "links"),
    [("pair", 1), ("line:5", 4), ("ring:5", 5), ("star:5", 4), ("tree:7", 6), ("grid:12", 17), ("full-mesh:5", 10)],
)
def test_number_of_links(text: str, links: int) -> None:
    assert len(load(text).links) == links


def test_the_hub_is_in_the_middle_of_the_star() -> None:
    topology = load("star:6")
    assert topology.neighbours("hub") == ("leaf1", "leaf2", "leaf3", "leaf4", "leaf5")
    assert compute_facts(topology).centralisation == 1.0


def test_a_tree_branches_as_asked() -> None:
    assert load("tree:13,branches=3").neighbours("s1") == ("s2", "s3", "s4")


def test_grid_in_rows() -> None:
    topology = load("grid:6,rows=2")
    assert topology.neighbours("s1") == ("s2", "s4")
    assert _facts("grid:6,rows=1").diameter == 5


def test_random_keeps_its_promise_at_both_ends() -> None:
    assert len(load("random:9,p=0").links) == 8
    assert len(load("random:9,p=1").links) == 36


def test_small_world_has_its_links() -> None:
    assert len(load("small-world:20,k=6").links) == 60
    assert set(_facts("small-world:20,k=4,p=0").degrees) == {4}


def test_scale_free_grows_hubs() -> None:
    found = _facts("scale-free:60,m=2,seed=1")
    assert max(found.degrees) > 4 * found.mean_degree / 2 and min(found.degrees) >= 1


def test_islands_are_apart_until_bridged() -> None:
    assert _facts("islands:7,islands=3").components == 3
    assert [server.name for server in load("islands:5").servers] == ["a1", "a2", "a3", "b1", "b2"]
    bridged = load("islands:7,islands=3,bridges=true")
    assert compute_facts(bridged).components == 1
    assert bridged.link("a3", "b1") and bridged.link("b2", "c1") and not bridged.link("a3", "c1")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "pair"])
def test_the_smallest_of_each_kind(kind: str) -> None:
    smallest = KINDS[kind].smallest
    assert len(load(f"{kind}:{smallest}").servers) == smallest


def test_two_servers_are_not_centralised() -> None:
    assert compute_facts(load("pair")).centralisation == 0.0
