"""Plans as text, and their differences in sentences."""

import json
from dataclasses import replace

import pytest

from lab.declarations.links import Conditions
from lab.errors import UserError
from lab.plan.build import build
from lab.plan.files import dump, find_differences, load
from lab.topology.spec import Custom, Link, Placement, Unlinked
from tests.plan.test_build import CONTAINERS, PROCESSES, island, server


@pytest.mark.parametrize("facts", [PROCESSES, CONTAINERS], ids=["processes", "containers"])
def test_a_plan_survives_as_text(facts):
    servers = (*island().servers, server("mine", "custom", custom=Custom("mine.yaml", ("./x",), "x:1", "/y")))
    plan = build(island(servers=servers), facts)
    assert load(dump(plan)) == plan
    assert json.loads(dump(plan))["services"] == plan.services


@pytest.mark.parametrize(
    ("steps", "value"),
    [
        (("topology", "links", 0, "forward", "rate"), 0),
        (("topology", "links", 0, "backward", "rate"), -5),
        (("topology", "links", 1, "backward", "latency"), -0.1),
        (("relays", 2, "conditions", "rate"), 0),
        (("relays", 0, "conditions", "jitter"), -1.0),
    ],
)
def test_conditions_that_no_link_can_have_are_refused_with_their_line(steps, value):
    data = json.loads(dump(build(island(), PROCESSES)))
    place = data
    for step in steps[:-1]:
        place = place[step]
    place[steps[-1]] = value
    text = json.dumps(data, indent=1)
    with pytest.raises(UserError, match=rf"^plan:\d+: .*'{steps[-1]}' must be a number of at least") as error:
        load(text)
    line = int(str(error.value).split(":")[1])
    assert text.splitlines()[line - 1].strip().startswith(f'"{steps[-1]}": {value}')


def test_what_is_no_plan_is_refused():
    for text in ("", "{}", "[]", dump(build(island(), PROCESSES)).replace('"relays"', '"relais"')):
        with pytest.raises(UserError, match=r"plan:\d+: .*the file is damaged"):
            load(text)


def test_the_ground_makes_no_difference():
    assert find_differences(build(island(), PROCESSES), build(island(), CONTAINERS)) == []
    elsewhere = replace(PROCESSES, network="127.95.0.0/16", folders="/other/{server}")
    assert find_differences(build(island(), PROCESSES), build(island(), elsewhere)) == []


def test_differences_are_sentences():
    old = island()
    first, second, _ = old.links
    servers = (
        replace(old.servers[0], users=7),
        server("new"),
        replace(old.servers[2], software="prosody", version="13.0"),
    )
    links = (
        replace(first, a="home", b="island", backward=Conditions(0.05, 0.01, 1000), direct=True),
        Link("new", "public"),
    )
    new = replace(old, servers=servers, links=links, unlinked=Unlinked.REFUSED, placement=Placement.EACH)
    # Only the words are tried: `home` is gone from the servers but not from the links, which no file can say.
    from lab.plan.model import Plan

    before, after = (Plan(topology, PROCESSES, "", (), ()) for topology in (old, new))
    assert find_differences(before, after) == [
        "server home is removed",
        "server outside is removed",
        "server new is new",
        "server island: users was 0, is 7",
        "server public: software was ejabberd@24.12, is prosody@13.0",
        "link public - home is removed",
        "link home - outside is removed",
        "link new - public is new",
        "link home - island: direct was false, is true",
        "link home - island: island to home was neutral, is 50ms ±10ms, 8kbit/s",
        "the topology: unlinked was not-allowed, is refused",
        "the topology: placement of people was together, is each",
    ]
    assert second.pair not in {link.pair for link in links}


def test_the_way_a_link_is_written_makes_no_difference():
    old = island()
    turned = tuple(Link(link.b, link.a, link.backward, link.forward, link.direct) for link in old.links)
    assert find_differences(build(old, PROCESSES), build(replace(old, links=turned), PROCESSES)) == []


def test_the_order_of_servers_counts():
    old = island()
    new = replace(old, servers=old.servers[::-1])
    assert find_differences(build(old, PROCESSES), build(new, PROCESSES)) == ["the servers are in another order"]
