"""What is missing is named one by one, whatever order, loss and duplicates there were, over any number of workers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import PeerError
from lab.load.client.stream_management import ASK_EVERY, MODULO, StreamManagement
from lab.load.metrics.ledger import DUPLICATE, LATE, NEW, Ledger, MissingMessage, merge_ledgers
from lab.load.model.message_id import PRESENCE, ROOM, WARMUP


def nobody(flags: int, target: int) -> tuple[int, ...]:
    raise AssertionError((flags, target))


def test_order_and_duplicates() -> None:
    ledger = Ledger()
    assert [ledger.send(0, 1, 2) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert [ledger.receive(0, 1, 2, n) for n in (0, 2, 1, 1, 2, 4)] == [NEW, NEW, LATE, DUPLICATE, DUPLICATE, NEW]
    assert list(ledger.list_missing(nobody)) == [MissingMessage(1, 2, None, 3)]


def test_when_lost_and_bounced_messages_were_due_is_known_if_it_was_kept_also_from_several_workers() -> None:
    sender, receiver = Ledger(), Ledger()
    for due in (0, 7, 123):
        sender.send(0, 1, 2)
        sender.keep_due(0, 1, 2, due)
    receiver.receive(0, 1, 2, 0)
    sender.bounce(0, 1, 2, 2)
    entries = [json.loads(json.dumps(one)) for ledger in (receiver, sender) for one in ledger.list_entries()]
    merged = merge_ledgers(entries)
    assert [one.due for one in merged.list_missing(nobody)] == [7]
    assert [one.due for one in merged.list_bounced(nobody)] == [123]


def test_pairs_are_apart() -> None:
    ledger = Ledger()
    for sender, target in ((1, 2), (2, 1), (1, 3)):
        ledger.send(0, sender, target)
    assert ledger.receive(0, 1, 2, 0) == NEW
    assert {(one.sender, one.receiver) for one in ledger.list_missing(nobody)} == {(2, 1), (1, 3)}


def test_the_warm_up_is_apart() -> None:
    ledger = Ledger()
    assert ledger.send(0, 1, 2) == ledger.send(WARMUP, 1, 2) == 0
    assert ledger.receive(0, 1, 2, 0) == NEW
    assert list(ledger.list_missing(nobody)) == [MissingMessage(1, 2, None, 0, warmup=True)]


def test_a_room_is_not_the_user_of_that_number_and_each_receiver_counts() -> None:
    ledger = Ledger()
    assert ledger.send(0, 1, 2) == ledger.send(ROOM, 1, 2) == ledger.send(PRESENCE, 1, 2) == 0
    assert ledger.receive(0, 1, 2, 0) == NEW
    for flags in (ROOM, PRESENCE):
        assert [ledger.receive(flags, 1, 2, 0, receiver=user) for user in (0, 1, 0)] == [NEW, NEW, DUPLICATE]
    assert list(ledger.list_missing(lambda flags, target: (0, 1, 5))) == [
        MissingMessage(1, 5, 2, 0), MissingMessage(1, 5, None, 0, presence=True)
    ]  # fmt: skip


def test_what_bounced_is_not_missing() -> None:
    ledger = Ledger()
    for _ in range(3):
        ledger.send(0, 1, 2)
    assert ledger.bounce(0, 1, 2, 1)
    assert not ledger.bounce(0, 1, 2, 1)
    ledger.receive(0, 1, 2, 2)
    assert [one.sequence for one in ledger.list_missing(nobody)] == [0]
    assert list(ledger.list_received_and_bounced(nobody)) == []


def test_a_presence_that_one_server_returns_is_missing_nowhere_else() -> None:
    ledger = Ledger()
    ledger.send(PRESENCE, 1, 1)
    ledger.bounce(PRESENCE, 1, 1, 0, receiver=5)
    assert [one.receiver for one in ledger.list_missing(lambda flags, target: (5, 6))] == [6]


def test_what_came_and_bounced_is_known_from_all_books_together() -> None:
    sender, receiver = Ledger(), Ledger()
    for number in range(4):
        sender.send(0, 1, 2)
        receiver.receive(0, 1, 2, number)
    sender.bounce(0, 1, 2, 1)
    sender.bounce(0, 1, 2, 3)
    receiver.gaps[1 << 32 | 2] = {3}
    assert list(sender.list_received_and_bounced(nobody)) == []
    whole = merge_ledgers([*sender.list_entries(), *receiver.list_entries()])
    assert list(whole.list_received_and_bounced(nobody)) == [MissingMessage(1, 2, None, 1)]
    assert list(whole.list_missing(nobody)) == []


MESSAGES = st.lists(st.tuples(st.sampled_from([0, WARMUP]), st.integers(0, 5), st.integers(0, 5)), max_size=60)


@given(MESSAGES, st.data(), st.integers(1, 3))
def test_the_books_balance_whatever_is_lost_doubled_or_returned(
    messages: list[tuple[int, int, int]], data: st.DataObject, workers: int
) -> None:
    ledgers = [Ledger() for _ in range(workers)]
    sent = [(flags, a, b, ledgers[a % workers].send(flags, a, b)) for flags, a, b in messages]
    came = data.draw(st.permutations(sent)) if sent else []
    kept = came[: data.draw(st.integers(0, len(came)))]
    back = data.draw(st.lists(st.sampled_from(sent), unique=True)) if sent else []
    for flags, a, b, number in [*kept, *kept[:3]]:
        ledgers[b % workers].receive(flags, a, b, number)
    for flags, a, b, number in back:
        ledgers[a % workers].bounce(flags, a, b, number)
    entries = [json.loads(json.dumps(entry)) for ledger in ledgers for entry in ledger.list_entries()]
    whole = merge_ledgers(entries)
    missing = {(WARMUP * one.warmup, one.sender, one.receiver, one.sequence) for one in whole.list_missing(nobody)}
    both = {
        (WARMUP * one.warmup, one.sender, one.receiver, one.sequence) for one in whole.list_received_and_bounced(nobody)
    }
    assert missing == {*sent} - {*kept} - {*back}
    assert both == {*kept} & {*back}
    assert len(sent) + len(both) == len(kept) + len(back) + len(missing)


def test_management_keeps_what_is_not_acknowledged() -> None:
    management = StreamManagement("id")
    asked = [management.store(b"%d" % number) for number in range(ASK_EVERY + 4)]
    assert [number for number, yes in enumerate(asked) if yes] == [ASK_EVERY - 1]
    rest = [b"%d" % number for number in range(ASK_EVERY, ASK_EVERY + 4)]
    for _ in range(2):
        management.acknowledge(str(ASK_EVERY))
        assert management.unacknowledged == rest
    assert management.prepare_resend() == b"".join(rest)
    with pytest.raises(PeerError, match="5 stanzas of 4"):
        management.acknowledge(str(ASK_EVERY + 5))
    with pytest.raises(PeerError, match="'x'"):
        management.acknowledge("x")


def test_management_counts_around_the_end_of_its_numbers() -> None:
    management = StreamManagement("id")
    management._acknowledged = MODULO - 1
    for number in range(3):
        management.store(b"%d" % number)
    management.acknowledge("1")
    assert management.prepare_resend() == b"2"
