"""What keeps a promise and what breaks it."""

import pytest

from lab.federation.outcomes import Bounce, Delivers, Delivery, Outcome, Refuses


def delivery(device: str, via: str = "live") -> Delivery:
    return Delivery(device, via, 1.0, "hello", "plain")


def bounce(condition: str = "not-allowed") -> Bounce:
    return Bounce(condition, "b.test", 1.0)


def outcome(*what: Delivery | Bounce, settled: bool = True) -> Outcome:
    deliveries = tuple(one for one in what if isinstance(one, Delivery))
    return Outcome(deliveries, tuple(one for one in what if isinstance(one, Bounce)), settled)


@pytest.mark.parametrize(
    ("what", "kept"),
    [
        (outcome(delivery("bob@b.test/x")), True),
        (outcome(delivery("bob@b.test/x"), delivery("bob@b.test/y")), True),
        (outcome(delivery("bob@b.test/x", "offline")), True),
        (outcome(delivery("bob@b.test/x"), delivery("bob@b.test/y", "carbon")), True),
        (outcome(delivery("bob@b.test/x", "carbon")), False),
        (outcome(delivery("bob@b.test/x", "archive")), False),
        (outcome(delivery("bob@b.test/x"), delivery("bob@b.test/x")), False),
        (outcome(delivery("bob@b.test/x"), bounce()), False),
        (outcome(delivery("bob@b.test/x"), settled=False), False),
        (outcome(bounce()), False),
        (outcome(settled=False), False),
    ],
)
def test_delivered_once(what: Outcome, kept: bool) -> None:
    assert Delivers().matches(what) is kept


@pytest.mark.parametrize(
    ("what", "kept"),
    [
        (outcome(delivery("alice@a.test/other", "carbon"), bounce()), True),
        (outcome(delivery("bob@b.test/x", "carbon"), delivery("bob@b.test/y"), bounce()), False),
        (outcome(bounce()), True),
        (outcome(bounce("gone")), False),
        (outcome(bounce(), bounce()), False),
        (outcome(bounce(), delivery("bob@b.test/x")), False),
        (outcome(settled=False), False),
    ],
)
def test_refused_with_the_condition_that_is_promised(what: Outcome, kept: bool) -> None:
    assert Refuses(("not-allowed", "remote-server-not-found"), 5.0).matches(what) is kept


def test_an_outcome_in_words() -> None:
    said = str(outcome(delivery("bob@b.test/x"), bounce("gone"), settled=False))
    assert said == "delivered to bob@b.test/x (live), bounced by b.test with gone, not settled before the deadline"
    assert str(outcome()) == "neither delivered nor bounced"
    assert str(Refuses(("gone", "not-allowed"), 5.0)) == "bounced with gone or not-allowed within 5 s"
