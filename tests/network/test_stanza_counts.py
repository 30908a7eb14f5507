"""What a sender is told of its stanzas behind a relay that drops, delays, repeats and adds (XEP-0198)."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lab.network.stanza_counts import StanzaCounts


def test_what_is_left_alone_is_counted_as_without_a_relay():
    counts = StanzaCounts()
    for _ in range(3):
        counts.write(counts.receive())
    assert [counts.acknowledge(h) for h in (0, 2, 2, 3)] == [0, 2, 2, 3]


def test_a_dropped_stanza_is_settled_with_those_before_it():
    counts = StanzaCounts()
    first, second = counts.receive(), counts.receive()
    counts.write(first)
    counts.drop(second)
    assert [counts.acknowledge(h) for h in (0, 1)] == [0, 2]


def test_a_held_stanza_holds_up_what_is_told_of_those_behind_it():
    counts = StanzaCounts()
    held, behind = counts.receive(), counts.receive()
    counts.write(behind)
    assert counts.acknowledge(1) == 0
    counts.write(held)
    assert counts.acknowledge(2) == 2


def test_copies_and_stanzas_of_the_relay_are_not_told_to_the_sender():
    counts = StanzaCounts()
    once = counts.receive()
    counts.write(once)
    counts.write(once)
    counts.write(None)
    assert [counts.acknowledge(h) for h in (1, 2, 3)] == [0, 1, 1]


def test_a_count_of_what_was_not_sent_changes_nothing():
    counts = StanzaCounts()
    counts.receive()
    assert counts.acknowledge(5) == 0


class Hop(RuleBasedStateMachine):
    """A sender, a relay that does anything with its stanzas, and a receiver that acknowledges what it got."""

    def __init__(self):
        super().__init__()
        self.counts = StanzaCounts()
        self.held, self.sent, self.written, self.got, self.told = [], 0, [], 0, 0

    @rule(fate=st.sampled_from(["pass", "repeat", "drop", "hold"]))
    def send(self, fate):
        number, counted = self.sent, self.counts.receive()
        self.sent += 1
        if fate == "drop":
            self.counts.drop(counted)
        elif fate == "hold":
            self.held.append((number, counted))
        for _ in range({"pass": 1, "repeat": 2}.get(fate, 0)):
            self.counts.write(counted)
            self.written.append(number)

    @precondition(lambda self: self.held)
    @rule(place=st.integers(0, 100))
    def release(self, place):
        number, counted = self.held.pop(place % len(self.held))
        self.counts.write(counted)
        self.written.append(number)

    @rule()
    def add(self):
        self.counts.write(None)
        self.written.append(None)

    @rule(share=st.floats(0, 1))
    def acknowledge(self, share):
        self.got += int((len(self.written) - self.got) * share)
        told = self.counts.acknowledge(self.got)
        assert told >= self.told
        self.told = told

    @invariant()
    def never_more_than_is_true(self):
        """What is told is settled: neither held, nor sent on and not received."""
        open_ = {number for number, _ in self.held} | {one for one in self.written[self.got :] if one is not None}
        assert self.told <= self.sent
        assert all(number >= self.told for number in open_)

    def teardown(self):
        """Nothing stays open for ever: else the sender would send it again on its next stream."""
        for number, counted in self.held:
            self.counts.write(counted)
            self.written.append(number)
        assert self.counts.acknowledge(len(self.written)) == self.sent


TestHop = Hop.TestCase
