"""What READY files say becomes readiness, and its absence evidence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.declarations.links import Conditions
from lab.errors import NotReady
from lab.lifecycle.readiness import compute_default_timeout, find_unknown_edges, wait_ready
from lab.plan.build import build
from lab.plan.layout import Layout
from lab.plan.model import Plan, RuntimeFacts
from lab.runtime.processes.runtime import Processes
from lab.runtime.protocol import ServerState
from lab.servers.conventions import LOG, READY
from tests.runtime.helpers import pair


class Running(Processes):
    """Every server runs but those in `ended`."""

    def __init__(self, *ended: str) -> None:
        self.ended = ended

    async def read_states(self, layout: Layout, plan: Plan, *, pids: bool = False) -> dict[str, ServerState]:
        names = [server.spec.name for server in plan.servers]
        return {
            name: ServerState(name not in self.ended, exit_code=1 if name in self.ended else None) for name in names
        }


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    for name in ("a", "b"):
        Layout(tmp_path).server(name).mkdir(parents=True)
    return Layout(tmp_path)


def plan_of(layout: Layout) -> Plan:
    return build(pair(), RuntimeFacts("processes", "127.80.0.0/16", f"{layout.root}/servers/{{server}}"))


def says(layout: Layout, server: str, *lines: str) -> None:
    (layout.server(server) / READY).write_text("".join(f"{line}\n" for line in lines))


async def wait(layout: Layout, runtime: Processes | None = None, patience: float = 0.2) -> list[str]:
    said: list[str] = []
    await wait_ready(layout, plan_of(layout), runtime or Running(), said.append, patience)
    return said


async def test_ready_once_all_are_up_and_have_answers(layout: Layout) -> None:
    says(layout, "a", '{"started": true, "at": 1}')
    says(layout, "b", '{"started": true, "at": 1}', '{"probed": "a.test", "at": 2}')
    assert await wait(layout) == ["2 of 2 servers up, 1 of 1 edges"]


async def test_half_a_line_is_not_read(layout: Layout) -> None:
    (layout.server("b") / READY).write_text('{"started": true, "at": 1}\n{"probed": "a.te')
    says(layout, "a", '{"started": true, "at": 1}')
    with pytest.raises(NotReady, match="no answer over: b to a"):
        await wait(layout)


async def test_who_is_not_up_is_named_with_its_log(layout: Layout) -> None:
    says(layout, "b", '{"started": true, "at": 1}')
    (layout.server("a") / LOG).write_text("error: Address already in use\n")
    with pytest.raises(NotReady, match=r"likely cause: a: .*; not up: a;") as caught:
        await wait(layout)
    assert "a: error: Address already in use" in caught.value.evidence


async def test_a_server_that_has_ended_is_not_waited_for(layout: Layout) -> None:
    with pytest.raises(NotReady, match="b: ended before being ready"):
        await wait(layout, Running("b"), patience=30.0)


def test_an_edge_between_two_strangers_is_unknown(layout: Layout) -> None:
    plan = plan_of(layout)
    assert find_unknown_edges(plan) == ()
    silent = replace(plan, servers=tuple(replace(server, probes=()) for server in plan.servers))
    assert find_unknown_edges(silent) == (("a", "b"),)


@pytest.mark.parametrize(
    ("conditions", "least"), [(Conditions(), 0.0), (Conditions(latency=4.0), 200.0), (Conditions(rate=2000), 60.0)]
)
def test_a_slow_link_has_more_time(layout: Layout, conditions: Conditions, least: float) -> None:
    usual = plan_of(layout)
    (link,) = usual.topology.links
    slow = replace(usual.topology, links=(replace(link, forward=conditions, backward=conditions),))
    assert compute_default_timeout(replace(usual, topology=slow)) >= compute_default_timeout(usual) + least
