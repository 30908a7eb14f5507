"""The space-time diagram of a run: as data, as SVG, as Mermaid text."""

import os
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from lab.checks import judge
from lab.history.events import DeviceSaw, FaultApplied, ServerEnded, ServerStarted
from lab.metrics.record import RunRecord
from lab.report.formats import ReportFormat, mermaid, render, svg
from lab.report.space_time import SpaceTime
from tests.checks.sample_history import SampleHistory
from tests.house.tree import ROOT
from tests.report.html.run_histories import record_of, tell_hostile, tell_loss, tell_story

EVIL = '"><script>alert(1)</script>;#%%{init}%%\nend\n\u202e'


def diagram_of(told):
    record = record_of(told)
    return SpaceTime(record, judge(record))


def drawn(told, chosen=ReportFormat.SVG):
    record = record_of(told)
    return render(chosen, record, judge(record))


def test_devices_stand_beside_their_servers_and_are_named_apart_where_a_person_has_several():
    told = SampleHistory()
    told.device("alice", "island"), told.device("alice", "island", "desk"), told.device("bob", "home")
    lanes = diagram_of(told).lanes
    assert [one.title for one in lanes] == ["alice/phone", "alice/desk", "island", "home", "bob", "public"]
    assert [one.server for one in lanes] == ["island", "island", "island", "home", "home", "public"]


def test_a_line_has_the_verdict_of_its_message():
    lines = diagram_of(tell_loss()).lines
    assert [(one.path.id, one.value) for one in lines[:3]] == [("m1", "failed"), ("m2", "valid"), ("m3", "valid")]
    assert lines[0].findings[0][0] == "delivery" and "bounced by public.test" in lines[2].outcome


def test_what_fails_as_the_scenario_wants_is_not_wrong():
    told = SampleHistory(expects=(("delivery", "failed"),))
    alice, bob = told.device("alice", "island"), told.device("bob", "home")
    told.say(alice, bob)
    told.finish()
    told.drop(type(next(one for one in told.events if one.kind == "delivered")), message="m1")
    diagram = diagram_of(told)
    assert diagram.lines[0].value == "expected" and diagram.first_wrong is None


def test_faults_and_servers_that_are_down_are_bands():
    told = tell_story()
    told.add(FaultApplied, number=1, fault="partition", began=1001.0, servers=("home",), fields=(("how", "reset"),))
    told.add(FaultApplied, number=2, fault="stop", began=1001.5, servers=(), error="no such server")
    told.add(ServerEnded, server="public", at=1002.0)
    told.add(ServerStarted, server="public", at=1003.0)
    told.add(ServerEnded, server="home", at=1004.0)
    bands = diagram_of(told.finish()).bands
    assert (bands[0].title, bands[0].servers, bands[0].ended) == ("partition", ("home",), None)
    assert bands[1].title == "stop: could not be applied: no such server"
    assert [(one.title, one.began, one.ended) for one in bands[2:]] == [
        ("public is down", 1002.0, 1003.0), ("home is down", 1004.0, None),
    ]  # fmt: skip


def test_the_svg_has_a_lane_for_each_and_marks_the_first_wrong():
    text = drawn(tell_loss())
    root = ET.fromstring(text)
    texts = ["".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")]
    for part in ("story on three: failed", "✗ first wrong", "partition", "everyone writes", "message (omemo)", "0.080"):
        assert any(part in one for one in texts), part
    assert [one for one in texts if one.startswith(("alice", "bob"))] == ["alice@island.test/phonealice",
                                                                        "bob@home.test/phonebob"]  # fmt: skip
    assert "2 more are on the run&#x27;s page" in text and text == drawn(tell_loss())


def test_later_events_are_drawn_lower_and_pauses_are_shortened():
    told = tell_story()
    told.time += 3600
    told.say("alice@island.test/phone", "bob@home.test/phone")
    scale = svg._Scale(diagram_of(told), diagram_of(told).lines)
    heights = [scale.find(one.path.observations[0].at) for one in diagram_of(told).lines]
    assert heights == sorted(heights) and heights[-1] - heights[-2] < 400


def test_mermaid_has_an_arrow_for_each_hop():
    text = drawn(tell_loss(), ReportFormat.MERMAID)
    lines = [line.strip() for line in text.splitlines()]
    assert lines[:3] == ["sequenceDiagram", "actor p0 as alice", "participant p1 as island"]
    way = [line for line in lines if line.endswith("message m1")]
    assert way == ["p0->>p1: message m1", "p1->>p2: message m1"]
    assert any(
        line.startswith("Note over p2: First wrong: failed: Message m1 from alice@island.test") for line in lines
    )
    assert "Note over p2: partition begins" in lines and "Note over p0,p5: everyone writes" in lines


@pytest.mark.parametrize("text", ["a;b", "x#y", "the end", "<b>", "%%{init}%%", "a\nb"])
def test_mermaid_reads_no_word_of_others_as_its_own(text):
    written = re.sub(r"#\d+;", "", mermaid.quote(text))
    assert not re.search(r"[;#<>%{}\n]|\bend\b", written)


def test_hostile_text_stays_text():
    root = ET.fromstring(drawn(tell_hostile(EVIL)))
    assert "script" not in {one.tag.rpartition("}")[2] for one in root.iter()}
    lines = drawn(tell_hostile(EVIL), ReportFormat.MERMAID).splitlines()
    first = re.compile(r"sequenceDiagram$|  (actor|participant) p\d+ as |  p\d+--?>>p\d+: |  Note over p\d+(,p\d+)?: ")
    assert all(first.match(line) for line in lines)
    assert not any(re.search(r"[;#<>%{}]|\bend\b", re.sub(r"#\d+;", "", line.partition(":")[2])) for line in lines)


def test_an_empty_run_can_be_drawn():
    told = SampleHistory()
    told.events = told.events[:1]
    assert ET.fromstring(drawn(told)) is not None
    assert drawn(told, ReportFormat.MERMAID).startswith("sequenceDiagram\n")
    nothing = RunRecord((), replace(told.plan))
    assert ET.fromstring(render(ReportFormat.SVG, nothing, judge(nothing))) is not None


def test_the_drawing_of_the_documentation_is_this_one():
    drawing = ROOT / "docs" / "space_time.svg"
    if os.environ.get("XMPPLAB_GOLDEN") == "write":
        drawing.write_text(drawn(tell_loss()))
    assert drawing.read_text() == drawn(tell_loss()), "if that is meant, run again with XMPPLAB_GOLDEN=write"


def test_a_roster_push_is_no_answer_to_what_it_tells_of():
    told = tell_story()
    stanza = "<iq><query xmlns='jabber:iq:roster'><item jid='carol@public.test'/></query></iq>"
    alice = "alice@island.test/phone"
    for direction, name in (("out", "set-1"), ("in", "push-1")):
        told.add(
            DeviceSaw, device=alice, stream="s", direction=direction, name="iq", type="set", id=name, sender=None,
            receiver=None, stanza=stanza,
        )  # fmt: skip
    request, push = (one for one in diagram_of(told.finish()).lines if one.path.id in ("set-1", "push-1"))
    assert push.path.causes, "the push has its cause"
    assert request.outcome == "no answer is recorded"
