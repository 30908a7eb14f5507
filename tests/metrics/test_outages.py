"""When a server or a link was down, by the history."""

import pytest

from lab.history.events import (
    Connected,
    DomainAccepted,
    DomainRefused,
    FaultApplied,
    FaultHealed,
    ServerEnded,
    ServerSaw,
    ServerStarted,
    ServerStreamClosed,
)
from lab.metrics.outages import RETRY, Outages
from lab.topology.spec import Server, Topology
from tests.checks.sample_history import plan


def between(events, began, ended, a="island", b="home", topology=None):
    found = Outages(events, topology or plan().topology).between(a, b, began, ended)
    return None if found is None else (found.cause, found.known)


def saw(server, at):
    return ServerSaw(
        at=at, server=server, direction="in", stream="s2s", name="iq", type="get", id="1", sender=None, receiver=None,
        size=1, encryption=None, body=False, stanza=None,
    )  # fmt: skip


@pytest.mark.parametrize("sign", [saw("home", 16.0), Connected(at=16.0, device="bob@home.test/phone", stream="s")])
def test_a_server_is_down_until_it_did_something_after_its_start(sign):
    events = [saw("home", 5.0), ServerEnded(at=10.0, server="home"), ServerStarted(at=14.0, server="home"), sign]
    down = ("home was down", True)
    assert [between(events, *times) for times in ((1, 9), (9, 10), (11, 12), (15, 15.5), (17 + RETRY, 40))] == [
        None, down, down, down, None,
    ]  # fmt: skip
    assert between(events, 1, 30, "island", "public") is None, "another server"
    assert between(events, 11, 12, "home", "home") == down


def test_a_server_that_does_nothing_after_its_start_is_not_known_to_be_up():
    events = [ServerEnded(at=10.0, server="home"), ServerStarted(at=14.0, server="home")]
    assert between(events, 100, 101) == ("home was down", True)


def test_a_scripted_server_is_down_outside_of_its_block():
    servers = (Server("home", "home.test", "prosody", ""), Server("peer", "peer.test", "scripted", ""))
    topology = Topology("two", "", servers, ())
    events = [ServerStarted(at=10.0, server="peer"), saw("peer", 11.0), ServerEnded(at=40.0, server="peer")]
    found = [
        between(events, *times, "home", "peer", topology) for times in ((1.0, 2.0), (12.0 + RETRY, 30.0), (39.0, 41.0))
    ]
    assert [one is not None for one in found] == [True, False, True]


PARTITION = {"fault": "partition", "servers": ("island",), "fields": (("groups", "island"), ("how", "reset"))}
GROUPS = {
    "fault": "partition",
    "servers": ("island", "home", "public"),
    "fields": (("groups", "island home | public"),),
}
CONDITIONS = {"fault": "conditions", "servers": ("home", "public"), "fields": (("link", "home public"),)}


@pytest.mark.parametrize(
    ("fault", "pair", "acts"),
    [
        (PARTITION, ("island", "home"), True),
        (PARTITION, ("home", "public"), False),
        (GROUPS, ("island", "home"), False),
        (GROUPS, ("public", "home"), True),
        (CONDITIONS, ("public", "home"), True),
        (CONDITIONS, ("island", "home"), False),
        ({"fault": "mine", "servers": ("home",)}, ("home", "public"), True),
        ({"fault": "mine", "servers": ("home",)}, ("island", "public"), False),
    ],
)
def test_a_fault_acts_on_the_routes_that_its_declaration_says(fault, pair, acts):
    applied = FaultApplied(at=10.5, number=1, began=10.0, **fault)
    healed = FaultHealed(at=12.0, number=1, fault="x", began=11.0)
    assert (between([applied, healed], 10.2, 10.3, *pair) is not None) == acts
    assert between([applied, healed], 1.0, 9.0, *pair) is None
    assert (between([applied, healed], 12.5, 13.0, *pair) is not None) == acts, "a server may not have tried again yet"
    assert between([applied, healed], 12.5 + RETRY, 30.0, *pair) is None
    assert (between([applied], 12.5, 13.0, *pair) is not None) == acts, "it was never healed"


def test_of_a_fault_that_names_no_server_it_is_not_known():
    applied = FaultApplied(at=10.5, number=1, began=10.0, fault="mine")
    assert between([applied], 11, 12) == ("the fault mine, which names no server, was active", False)
    assert between([applied, ServerEnded(at=1.0, server="home")], 11, 12) == ("home was down", True)


def closed(at, **values):
    fields = {"server": "island", "stream": "s2s", "direction": "out", "peer": "home.test", "id": "1", "tls": "TLSv1.3"}
    return ServerStreamClosed(at=at, **{**fields, "authentication": "EXTERNAL", **values})


@pytest.mark.parametrize(
    ("values", "down"),
    [
        ({}, True),
        ({"server": "home", "peer": "island.test", "direction": "in"}, True),
        ({"condition": "system-shutdown"}, True),
        ({"condition": "policy-violation"}, False),
        ({"authentication": ""}, False),
        ({"peer": "public.test"}, False),
        ({"stream": "c2s"}, False),
    ],
)
def test_a_stream_that_was_open_and_ended_is_an_outage(values, down):
    assert (between([closed(10.0, **values)], 9.0, 11.0) is not None) == down
    assert between([closed(10.0, **values)], 11.0, 12.0) is None, (
        "it ended before: that none can be opened is no excuse"
    )


def test_a_refused_domain_is_down_for_who_refuses_it_only():
    events = [
        DomainRefused(at=10.0, server="home", domain="island.test"),
        DomainAccepted(at=20.0, server="home", domain="island.test"),
        DomainRefused(at=100.0, server="home", domain="island.test"),
    ]
    refused = ("home refused island.test", True)
    times = ((1, 9), (11, 12), (19 + RETRY, 21 + RETRY), (21 + RETRY, 90), (200, 201))
    assert [between(events, *one) for one in times] == [None, refused, refused, None, refused]
    assert between(events, 11, 12, "home", "island") == refused
    assert between(events, 11, 12, "home", "public") is None
