"""Whatever a peer, a file or a server may write, on a page it is text: each field of each event, alone and together."""

from __future__ import annotations

import types
import typing
from dataclasses import MISSING, fields, replace

import pytest

from lab.checks import judge
from lab.history.events import KINDS, RunEnded
from lab.history.reader import HistoryGap
from lab.metrics.record import RunRecord
from lab.report.html import document, run_page
from tests.report.html.run_histories import page_of, tell_loss
from tests.report.html.test_run_page import EVIL, Parsed

#: What an event of any kind has where nothing is tried, so that it belongs to the run.
USUAL = {
    "server": "home", "device": "bob@home.test/phone", "person": "bob@home.test", "sender": "alice@island.test/phone",
    "receiver": "bob@home.test", "message": "m1", "id": "m1", "stream": "s2s", "direction": "in", "name": "message",
    "phase": "begin", "source": "island", "target": "home", "peer": "island.test", "how": "finished", "via": "live",
}  # fmt: skip


def points():
    """Every field of every kind of event that has text in it."""
    kinds = {**KINDS, HistoryGap.kind: HistoryGap}
    return [
        (kind, field)
        for kind in kinds.values()
        for field, hint in typing.get_type_hints(kind).items()
        if field in {one.name for one in fields(kind)} and "str" in str(hint)
    ]


def value_of(hint, text):
    """A value of a type with this text wherever the type has text."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is str:
        return text
    if origin in (types.UnionType, typing.Union):
        return value_of(str if str in inner else inner[0], text)
    if origin is tuple:
        parts = inner[:1] if inner[-1] is Ellipsis else inner
        return (
            (tuple(value_of(one, text) for one in parts),)
            if len(parts) > 1 and inner[-1] is Ellipsis
            else tuple(value_of(one, text) for one in parts)
        )
    return {int: 1, float: 1001.0, bool: True, type(None): None}[hint]


def build(kind, chosen):
    hints = typing.get_type_hints(kind)
    values = {}
    for field in fields(kind):
        if field.name in chosen:
            values[field.name] = value_of(hints[field.name], EVIL)
        elif field.name in USUAL and "str" in str(hints[field.name]):
            values[field.name] = value_of(hints[field.name], USUAL[field.name])
        elif field.default is MISSING and field.default_factory is MISSING:
            values[field.name] = value_of(hints[field.name], "x")
    return kind(**{**values, "at": 1000.5})


@pytest.fixture(scope="module")
def harmless():
    return {*Parsed(page_of(tell_loss())).tags} | {"details", "summary", "h3"}


def assert_harmless(html, harmless):
    parsed = Parsed(html)
    assert {*parsed.tags} <= harmless and parsed.tags.count("script") == 2, sorted({*parsed.tags} - harmless)
    assert parsed.tags.count("img") == 1 and "\u202e" not in html
    assert not [one for one in parsed.attributes if one[1].startswith("on") or one[1] == "style"]


def page_with(event):
    told = tell_loss()
    place = next(index for index, one in enumerate(told.events) if isinstance(one, RunEnded))
    if type(event) in (type(told.events[0]), RunEnded):
        told.events[0 if type(event) is type(told.events[0]) else place] = event
    else:
        told.events.insert(place, event)
    return page_of(told)


def test_every_field_of_every_event_is_text_on_the_page(harmless):
    every = points()
    assert len(every) > 150
    for kind, field in every:
        assert_harmless(page_with(build(kind, {field})), harmless)


def test_all_fields_of_an_event_at_once(harmless):
    for kind in KINDS.values():
        assert_harmless(page_with(build(kind, {one.name for one in fields(kind)} - {"at", "format"})), harmless)


def test_the_topology_and_the_plan_are_text_as_well(harmless):
    told = tell_loss()
    topology = told.plan.topology
    servers = tuple(replace(one, version=EVIL, operator=EVIL, hosting=EVIL) for one in topology.servers)
    plans = tuple(
        replace(one, spec=spec, certificate=replace(one.certificate, names=(EVIL,)), address=EVIL)
        for one, spec in zip(told.plan.servers, servers, strict=True)
    )
    evil = replace(topology, name=EVIL, teaches=EVIL, servers=servers)
    facts = replace(told.plan.facts, runtime=EVIL)
    record = RunRecord(tuple(told.events), replace(told.plan, topology=evil, servers=plans, facts=facts))
    html = run_page.render(record, judge(record), files=[EVIL])
    assert_harmless(html, harmless)
    assert html.count("&lt;script&gt;alert(1)") >= 6


def test_a_point_that_is_not_escaped_would_be_seen(harmless, monkeypatch):
    monkeypatch.setattr(document._environment(), "autoescape", False)
    document._environment().cache.clear()
    try:
        with pytest.raises(AssertionError):
            assert_harmless(page_with(build(KINDS["note"], {"text"})), harmless)
    finally:
        document._environment().cache.clear()
