"""Who had blocked whom when (XEP-0191)."""

import pytest

from lab.history.events import Blocked, Sent, Unblocked
from lab.metrics.block_lists import BlockLists, matches

ALICE, BOB = "alice@a.test/pc", "bob@b.test"


def sent(sender=ALICE, receiver=BOB):
    return Sent(at=1.0, message="m", sender=sender, receiver=receiver, stream="s", encryption="plain")


@pytest.mark.parametrize(
    ("entry", "held"),
    [
        ("alice@a.test", True),
        ("alice@a.test/pc", True),
        ("a.test", True),
        ("a.test/pc", True),
        ("alice@a.test/phone", False),
        ("bob@a.test", False),
        ("test", False),
    ],
)
def test_an_entry_is_a_full_or_bare_jid_or_a_domain(entry, held):
    assert matches(entry, ALICE) == held


def test_a_block_holds_both_ways_until_it_is_undone():
    events = [
        sent(),
        Blocked(at=1.0, person="bob@b.test", jid="alice@a.test"),
        sent(),
        Unblocked(at=1.0, person="bob@b.test", jid="alice@a.test"),
        sent(),
    ]
    lists = BlockLists(events)
    assert [lists.stops(sent(), place) for place in (0, 2, 4)] == [False, True, False]
    assert lists.stops(sent(f"{BOB}/phone", "alice@a.test"), 2), "what the blocker sends to the blocked"
    assert not lists.stops(sent("carol@a.test/pc"), 2)
    assert [lists.changed(sent(), place) for place in (0, 2, 4)] == [True, True, False]
    assert not lists.changed(sent("carol@a.test/pc"), 0)
