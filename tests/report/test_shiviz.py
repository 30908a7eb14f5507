"""The log for ShiViz: read by its default expression, with clocks that are ordered exactly where events are."""

import json
import re

import networkx
import pytest

from lab.checks import judge
from lab.history.events import FaultApplied, FaultHealed, ServerEnded
from lab.metrics.record import RunRecord
from lab.metrics.stanza_paths import list_stanza_paths
from lab.report.formats import ReportFormat, render, shiviz
from tests.checks.sample_history import SampleHistory
from tests.report.html.run_histories import record_of, tell_hostile, tell_loss, tell_story

#: What ShiViz offers as its expression, in Python's spelling.
DEFAULT = re.compile(r"(?P<event>.*)\n(?P<host>\S*) (?P<clock>{.*})")


def parse(text):
    """The events as ShiViz takes them: a clock has its own host, and the times of a host count from 1."""
    found = [(one["event"], one["host"], json.loads(one["clock"])) for one in DEFAULT.finditer(text)]
    assert 2 * len(found) == text.count("\n"), "each two lines are an event"
    own = {}
    for _, host, clock in found:
        own.setdefault(host, []).append(clock[host])
    assert all(times == list(range(1, len(times) + 1)) for times in own.values())
    assert all(count <= len(own[host]) for _, _, clock in found for host, count in clock.items())
    return found


def log_of(told):
    record = record_of(told)
    return render(ReportFormat.SHIVIZ, record, judge(record))


def busy():
    """Alice and Bob write to each other, Carol and Dave on a server of their own, with a fault; in the end all do."""
    told = SampleHistory()
    homes = (("alice", "island"), ("bob", "home"), ("carol", "public"), ("dave", "public"))
    alice, bob, carol, dave = (told.device(*one) for one in homes)
    for number in range(4):
        told.say(*((alice, bob) if number % 2 else (bob, alice)))
        told.say(*((carol, dave) if number % 2 else (dave, carol)))
    told.add(FaultApplied, number=1, fault="partition", began=told.time, servers=("home",), fields=())
    told.add(ServerEnded, server="public")
    told.say(bob, alice)
    told.say(bob, carol)
    told.add(FaultHealed, number=1, fault="partition", began=told.time)
    return told.finish()


def precedes(one, other):
    return one != other and all(count <= other.get(host, 0) for host, count in one.items())


@pytest.mark.parametrize("tell", [tell_story, tell_loss, busy])
def test_clocks_are_ordered_exactly_where_one_event_happens_before_the_other(tell) -> None:
    told = tell()
    record = record_of(told)
    events = parse(log_of(told))
    paths = list_stanza_paths(record)
    observations = [
        (one.at, one.direction == "in", one.number, index, place)
        for index, path in enumerate(paths)
        for place, one in enumerate(path.observations)
    ]
    order = [(index, place) for *_, index, place in sorted(observations)]
    graph = networkx.DiGraph()
    last = {}
    for index, place in order:
        here = paths[index].observations[place]
        graph.add_node((index, place))
        if here.place in last:
            graph.add_edge(last[here.place], (index, place))
        if here.before is not None:
            graph.add_edge((index, here.before), (index, place))
        else:
            graph.add_edges_from(((cause, 0), (index, place)) for cause in paths[index].causes)
        last[here.place] = index, place
    stanzas = [clock for text, _, clock in events if text.startswith(("sends ", "receives "))]
    assert len(stanzas) == len(order) > 10
    clocks = dict(zip(order, stanzas, strict=True))
    before = {one: networkx.descendants(graph, one) for one in order}
    wrong = [(a, b) for a in order for b in order if precedes(clocks[a], clocks[b]) != (b in before[a])]
    assert not wrong
    if tell is busy:
        assert any(a != b and b not in before[a] and a not in before[b] for a in order for b in order)


def test_the_event_says_what_went_wrong_and_faults_are_events_of_their_servers() -> None:
    events = parse(log_of(tell_loss()))
    assert any(text.startswith("receives message") and ": failed: Message m1" in text for text, _, _ in events)
    told = [(text, host) for text, host, _ in parse(log_of(busy())) if not text.startswith(("sends ", "receives "))]
    assert told == [("partition begins", "home"), ("public is down begins", "public"), ("partition ends", "home")]


def test_text_of_others_ends_no_line_and_names_no_host() -> None:
    evil = 'x {"home": 9}\nhome {"home": 1}\u202e'
    events = parse(log_of(tell_hostile(evil)))
    assert not [text for text, _, _ in events if "\u202e" in text]
    assert shiviz.name_host("a@b/my phone") == "a@b/my%20phone" != shiviz.name_host("a@b/my%20phone")


def test_an_empty_run_has_no_events_and_a_long_one_says_how_many_are_missing(monkeypatch) -> None:
    nothing = RunRecord((), SampleHistory().plan)
    assert render(ReportFormat.SHIVIZ, nothing, judge(nothing)) == ""
    whole = parse(log_of(busy()))
    monkeypatch.setattr(shiviz, "EVENTS", 7)
    some = parse(log_of(busy()))
    assert some[:7] == whole[:7] and len(some) == 8
    assert some[7][0] == f"{len(whole) - 7} more events are on the page of the run"
