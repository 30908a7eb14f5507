"""Gini, entropy and Nakamoto of how people and conversations are distributed: by hand, and for any values."""

from dataclasses import replace
from itertools import combinations
from math import log2

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lab.metrics.conversations import Conversations, plan_conversations
from lab.metrics.entropy import compute_bits, compute_entropy, entropy
from lab.metrics.gini import compute_coefficient, compute_gini, gini
from lab.metrics.nakamoto import compute_nakamoto, nakamoto
from lab.metrics.record import RunRecord
from lab.topology.files import load
from tests.checks.sample_history import SampleHistory

AMOUNTS = st.lists(st.integers(0, 1000), min_size=1, max_size=7).filter(any)


def people(*amounts):
    """Conversations of nobody, and so many people on each server."""
    topology = load(f"full-mesh:{len(amounts)}")
    return Conversations(
        topology, {}, dict(zip((server.name for server in topology.servers), amounts, strict=True)), planned=True
    )


def of_people(found):
    return next(one for one in found if (one.label, one.what) == ("server", "people"))


@pytest.mark.parametrize(
    ("amounts", "coefficient", "bits", "normalised", "needed"),
    [
        ((7, 7), 0, 1, 1, 2),  # exactly half is no majority
        ((0, 8), 1 / 2, 0, 0, 1),
        ((4, 2, 1, 1), 5 / 16, 1.75, 0.875, 2),  # differences of 20 in 16 pairs, both ways, mean 2: 20 / (2 * 16 * 2)
        ((1, 1, 2, 0), 3 / 8, 1.5, 0.75, 2),
        ((6, 5, 6, 4, 10, 10, 9), 62 / 350, 2.732, 0.973, 3),
    ],
)
def test_each_measure_has_the_value_that_was_computed_by_hand(amounts, coefficient, bits, normalised, needed) -> None:
    conversations = people(*amounts)
    found = of_people(compute_entropy(conversations))
    assert of_people(compute_gini(conversations)).coefficient == pytest.approx(coefficient)
    assert (found.bits, found.normalised) == (pytest.approx(bits, abs=5e-4), pytest.approx(normalised, abs=5e-4))
    assert of_people(compute_nakamoto(conversations)).needed == needed


@given(AMOUNTS)
def test_gini_is_half_of_the_mean_difference_by_the_mean(amounts) -> None:
    parties = len(amounts)
    differences = sum(abs(one - other) for one in amounts for other in amounts)
    found = compute_coefficient(amounts)
    assert found == pytest.approx(differences / (2 * parties * sum(amounts)))
    assert -1e-9 <= found <= (parties - 1) / parties + 1e-9
    assert compute_coefficient([3 * one for one in amounts]) == pytest.approx(found)


@given(AMOUNTS, st.data())
def test_what_the_richer_gives_to_the_poorer_makes_it_more_even(amounts, data) -> None:
    places = range(len(amounts))
    rich, poor = data.draw(st.sampled_from(places)), data.draw(st.sampled_from(places))
    assume(amounts[rich] - amounts[poor] >= 2)
    given_away = data.draw(st.integers(1, (amounts[rich] - amounts[poor]) // 2))
    after = list(amounts)
    after[rich] -= given_away
    after[poor] += given_away
    assert compute_coefficient(after) < compute_coefficient(amounts)
    assert compute_bits(after) > compute_bits(amounts)


@given(AMOUNTS)
def test_entropy_lies_between_one_party_and_all_alike(amounts) -> None:
    assert -1e-9 <= compute_bits(amounts) <= log2(len(amounts)) + 1e-9
    assert compute_bits([5] * len(amounts)) == pytest.approx(log2(len(amounts)))
    assert compute_bits([*amounts, 0]) == pytest.approx(compute_bits(amounts))


@given(st.lists(st.integers(0, 50), min_size=2, max_size=7).filter(any))
def test_no_smaller_set_has_more_than_half_and_the_named_one_has(amounts) -> None:
    conversations = people(*amounts)
    found = of_people(compute_nakamoto(conversations))
    sizes = [
        size
        for size in range(1, len(amounts) + 1)
        if any(2 * sum(some) > sum(amounts) for some in combinations(amounts, size))
    ]
    assert found.needed == sizes[0] == len(found.names)
    assert 2 * sum(conversations.people[name] for name in found.names) > sum(amounts)


def test_operators_and_networks_add_up_and_a_conversation_counts_for_each_who_saw_it() -> None:
    topology = load("full-mesh:4")
    names = [server.name for server in topology.servers]
    labelled = [
        replace(server, operator="big" if place < 3 else "", hosting="cloud")
        for place, server in enumerate(topology.servers)
    ]
    conversations = Conversations(
        replace(topology, servers=tuple(labelled)),
        {("x", "y"): frozenset(names[:2]), ("x", "z"): frozenset((names[0], names[3]))},
        dict.fromkeys(names, 1),
    )
    amounts = {(one.label, one.what): one.amounts for one in conversations.list_distributions()}
    assert amounts["operator", "people"] == {"big": 3, names[3]: 1}
    assert amounts["hosting", "people"] == {"cloud": 4}
    assert amounts["server", "conversations"] == {names[0]: 2, names[1]: 1, names[2]: 0, names[3]: 1}
    assert amounts["operator", "conversations"] == {"big": 2, names[3]: 1}
    alone = next(one for one in compute_entropy(conversations) if (one.label, one.what) == ("hosting", "people"))
    assert (alone.bits, alone.normalised) == (0, None)


def test_of_nobody_and_without_a_feed_the_measures_are_unknown() -> None:
    record = RunRecord(tuple(SampleHistory().finish().events), SampleHistory().plan)
    assert {one.coefficient for one in gini(record)} == {None}
    assert {(one.bits, one.normalised) for one in entropy(record)} == {(None, None)}
    assert {one.needed for one in nakamoto(record)} == {None}
    unknown = replace(people(2, 1), unknown=("a",), observers={("x", "y"): frozenset("a")})
    known = {(one.label, one.what): one.coefficient is not None for one in compute_gini(unknown)}
    assert known["server", "people"] and not known["server", "conversations"]


def test_the_shipped_topologies_have_the_shares_that_the_page_gives_beside_published_ones() -> None:
    giant, clouds = (plan_conversations(load(name), [], 200) for name in ("one-giant", "three-clouds"))
    assert giant.people["giant"] / 200 == pytest.approx(0.72, abs=0.01)
    networks = next(one for one in clouds.list_distributions() if (one.label, one.what) == ("hosting", "people"))
    assert sum(networks.values[:3]) / 200 == pytest.approx(0.62)
