"""What is missing is named one by one, whatever order, loss and duplicates there were, over any number of workers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import PeerError
from lab.load.ledger import LATE, NEW, TWICE, Ledger, Missing, settle
from lab.load.management import ASK_EVERY, MODULO, Management


def nobody(room: int) -> tuple[int, ...]:
    raise AssertionError(f"room {room}")


def test_order_and_duplicates() -> None:
    ledger = Ledger()
    assert [ledger.send(1, 2) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert [ledger.come(1, 2, n) for n in (0, 2, 1, 1, 2, 4)] == [NEW, NEW, LATE, TWICE, TWICE, NEW]
    assert list(ledger.missing(nobody)) == [Missing(1, 2, None, 3)]


def test_pairs_are_apart() -> None:
    ledger = Ledger()
    for sender, target in ((1, 2), (2, 1), (1, 3)):
        ledger.send(sender, target)
    assert ledger.come(1, 2, 0) == NEW
    assert {(one.sender, one.receiver) for one in ledger.missing(nobody)} == {(2, 1), (1, 3)}


def test_a_room_is_not_the_user_of_that_number_and_each_receiver_counts() -> None:
    ledger = Ledger()
    assert ledger.send(1, 2) == ledger.send(1, 2, room=True) == 0
    assert ledger.come(1, 2, 0) == NEW
    assert [ledger.come(1, 2, 0, room_receiver=user) for user in (0, 1, 0)] == [NEW, NEW, TWICE]
    assert list(ledger.missing(lambda room: (0, 1, 5))) == [Missing(1, 5, 2, 0)]


def test_what_bounced_is_not_missing() -> None:
    ledger = Ledger()
    for _ in range(3):
        ledger.send(1, 2)
    assert ledger.bounce(1, 2, 1)
    assert not ledger.bounce(1, 2, 1)
    ledger.come(1, 2, 2)
    assert [one.sequence for one in ledger.missing(nobody)] == [0]


MESSAGES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=60)


@given(MESSAGES, st.data(), st.integers(1, 3))
def test_any_loss_is_found_over_any_number_of_workers(
    messages: list[tuple[int, int]], data: st.DataObject, workers: int
) -> None:
    ledgers = [Ledger() for _ in range(workers)]
    sent = [(sender, target, ledgers[sender % workers].send(sender, target)) for sender, target in messages]
    came = data.draw(st.permutations(sent)) if sent else []
    kept = came[: data.draw(st.integers(0, len(came)))]
    for sender, target, number in [*kept, *kept[:3]]:
        ledgers[target % workers].come(sender, target, number)
    entries = [json.loads(json.dumps(entry)) for ledger in ledgers for entry in ledger.entries()]
    found = {(one.sender, one.receiver, one.sequence) for one in settle(entries).missing(nobody)}
    assert found == {*sent} - {*kept}


def test_management_keeps_what_is_not_acknowledged() -> None:
    management = Management("id")
    asked = [management.sent(b"%d" % number) for number in range(ASK_EVERY + 4)]
    assert [number for number, yes in enumerate(asked) if yes] == [ASK_EVERY - 1]
    rest = [b"%d" % number for number in range(ASK_EVERY, ASK_EVERY + 4)]
    for _ in range(2):
        management.acknowledge(str(ASK_EVERY))
        assert management.unacknowledged == rest
    assert management.again() == b"".join(rest)
    with pytest.raises(PeerError, match="5 stanzas of 4"):
        management.acknowledge(str(ASK_EVERY + 5))
    with pytest.raises(PeerError, match="'x'"):
        management.acknowledge("x")


def test_management_counts_around_the_end_of_its_numbers() -> None:
    management = Management("id")
    management._acknowledged = MODULO - 1
    for number in range(3):
        management.sent(b"%d" % number)
    management.acknowledge("1")
    assert management.again() == b"2"
