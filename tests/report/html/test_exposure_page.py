"""The pages of an exposure: each cell with its proof, nothing from elsewhere, and text of others without effect."""

from dataclasses import replace

import pytest

from lab.history.events import RunEnded, ServerSaw
from lab.metrics.conversations import plan_conversations
from lab.metrics.exposure import FACTS
from lab.metrics.record import RunRecord
from lab.report.exposure import Exposure
from lab.report.html.exposure_page import render_comparison_page, render_exposure
from lab.topology.spec import Server
from tests.checks.sample_history import SampleHistory, plan
from tests.metrics.exposed_history import exposed
from tests.report.html.test_run_page import EVIL, LOADING, Parsed


def shown_of(told):
    return Exposure.of_run(RunRecord((*told.events, RunEnded(at=told.time, how="finished")), told.plan))


def test_every_fact_stands_there_and_every_proof_is_the_stanza_itself() -> None:
    told, proof = exposed()
    page = Parsed(render_exposure(shown_of(told)))
    assert all(name in page.text for name in FACTS.values())
    stanza = told.events[proof["typing"] - 1].stanza
    assert f"{proof['typing']}: {' '.join(stanza.split())}" in page.text
    assert "Unknown at public: everything" in page.text
    assert "conversations by server" in page.text and "Nakamoto" in page.text
    assert "script" not in page.tags
    assert not LOADING & set(page.tags)
    assert not [one for one in page.attributes if one[1] in ("src", "href") and not one[2].startswith("data:")]


def test_text_of_others_is_text() -> None:
    told, _ = exposed()
    told.events = [
        replace(one, stanza=f"{one.stanza}{EVIL}", receiver=f"{EVIL}@home.test", id=EVIL)
        if isinstance(one, ServerSaw) and one.name == "message"
        else one
        for one in told.events
    ]
    page = Parsed(render_exposure(shown_of(told)))
    assert "alert(1)" in page.text
    assert "script" not in page.tags
    assert page.tags.count("img") == 1
    assert not [one for one in page.attributes if one[1].startswith("on")]
    assert "\u202e" not in page.text


@pytest.mark.parametrize("number", [3, 12, 100])
def test_many_servers_are_rows_and_are_not_all_drawn(number) -> None:
    servers = tuple(Server(f"server-{one}", f"s{one}.test", "prosody", "") for one in range(number))
    html = render_exposure(shown_of(SampleHistory(plan(servers, links=()))))
    page = Parsed(html)
    assert page.tags.count("img") == (number <= 40)
    assert all(server.name in page.text for server in servers)
    assert len(html) < 500_000


def test_topologies_stand_side_by_side() -> None:
    told, _ = exposed()
    page = Parsed(render_comparison_page([plan_conversations(told.plan.topology, [(0, 1)], 6)], f"About {EVIL}"))
    assert "three" in page.text and "HHI by operator" in page.text
    assert "Nakamoto by server" in page.text
    assert "script" not in page.tags
