"""Messages by route."""

from lab.metrics import METRICS
from lab.metrics.record import RunRecord
from lab.metrics.routes import routes
from tests.checks.sample_history import SampleHistory


def test_messages_count_by_what_became_of_them() -> None:
    history = SampleHistory()
    alice, bob, carol = (
        history.device(user, server) for user, server in (("alice", "island"), ("bob", "home"), ("carol", "public"))
    )
    history.say(alice, bob)
    history.say(alice, bob)
    history.say(alice, carol)  # no link: it bounces
    history.say(bob, alice)
    lost = history.say(bob, carol)
    history.drop(type(history.events[-1]), message=lost)
    history.finish()
    found = routes(RunRecord(tuple(history.events), history.plan))
    counts = {
        (one.sender, one.receiver): (one.linked, one.sent, one.delivered, one.bounced, one.neither) for one in found
    }
    assert counts == {
        ("island", "home"): (True, 2, 2, 0, 0),
        ("island", "public"): (False, 1, 0, 1, 0),
        ("home", "island"): (True, 1, 1, 0, 0),
        ("home", "public"): (True, 1, 0, 0, 1),
    }


def test_each_metric_reads_a_history_in_which_nothing_happened() -> None:
    record = RunRecord(tuple(SampleHistory().finish().events), SampleHistory().plan)
    assert {name: metric(record) for name, metric in METRICS.items()} == {"routes": [], "left_out": [], "stanzas": 0}
