from dataclasses import replace

import pytest

from lab.checks import Value
from lab.checks.reachability import GRACE, check
from lab.history.events import Bounced, Delivered, FaultApplied, FaultHealed, RouteSettled, ServerEnded, ServerSaw
from lab.metrics.outages import RETRY
from lab.metrics.record import RunRecord
from lab.servers import get_software
from lab.topology.spec import Server, Unlinked
from tests.checks.sample_history import SampleHistory, plan


def judged(told):
    return check(RunRecord(tuple(told.events), told.plan))


def only(verdict, value=Value.FAILED):
    assert verdict.value is value, verdict
    assert len(verdict.findings) == 1, verdict.findings
    return verdict.findings[0]


def three(**values):
    told = SampleHistory(plan(**values))
    return told, told.device("alice", "island"), told.device("bob", "home"), told.device("carol", "public")


@pytest.mark.parametrize("unlinked", list(Unlinked))
def test_everyone_to_everyone_equals_the_graph(unlinked):
    told, *people = three(unlinked=unlinked)
    dave = told.device("dave", "home")
    for a in (*people, dave):
        for b in (*people, dave):
            if a is not b:
                told.say(a, b)
    verdict = judged(told.finish())
    assert verdict.value is Value.VALID, verdict
    assert verdict.sentence == "7 ordered pairs of servers used: 5 delivered, 2 refused as promised."


def test_nothing_used_judges_nothing():
    assert judged(SampleHistory().finish()).judged == 0


def bounced():
    told, alice, _, carol = three()
    told.say(alice, carol)
    return told.finish(), alice, carol


def test_what_crosses_without_a_link_fails():
    told, alice, carol = bounced()
    told.add(Delivered, message="m1", sender=alice, device=carol, stream="s", via="live")
    finding = only(judged(told))
    assert (finding.message, finding.servers) == ("m1", ("island", "public"))
    assert "though there is no link" in finding.sentence


def test_another_condition_than_promised_fails_and_names_both():
    told, _, _ = bounced()
    place = told.index(Bounced)
    told.events[place] = replace(told.events[place], condition="internal-server-error")
    sentence = only(judged(told)).sentence
    assert "refused with internal-server-error by public.test; promised is remote-server-not-found" in sentence


def test_the_table_is_that_of_the_senders_software():
    told, _, _, carol = three(unlinked=Unlinked.REFUSED)
    told.say(carol, told.device("erin", "island"))  # public is an ejabberd
    wanted = get_software("ejabberd").refusal("", Unlinked.REFUSED).conditions
    assert told.events[told.index(Bounced)].condition in wanted
    assert judged(told.finish()).value is Value.VALID


def test_a_link_that_must_not_come_up_refuses_as_promised():
    the_plan = plan()
    links = tuple(replace(link, comes_up=False) for link in the_plan.topology.links)
    told = SampleHistory(replace(the_plan, topology=replace(the_plan.topology, links=links)))
    alice, bob = told.device("alice", "island"), told.device("bob", "home")
    told.say(alice, bob)
    told.drop(ServerSaw)
    told.drop(Delivered)
    told.routes.clear()
    told.add(Bounced, message="m1", device=alice, condition="remote-server-timeout", by="home.test")
    assert judged(told.finish()).value is Value.VALID
    place = told.index(Bounced)
    told.events[place] = replace(told.events[place], condition="remote-server-not-found")
    assert "promised is remote-server-timeout" in only(judged(told)).sentence
    told.drop(Bounced)
    told.add(Delivered, message="m1", sender=alice, device=bob, stream="s", via="live")
    assert "though their link must not come up" in only(judged(told)).sentence


def test_a_late_refusal_fails():
    told, _, _ = bounced()
    place = told.index(Bounced)
    within = get_software("prosody").refusal("", Unlinked.NXDOMAIN).within
    told.events[place] = replace(told.events[place], at=1000.0 + within + GRACE + 1)
    assert "refused after" in only(judged(told)).sentence


@pytest.mark.parametrize(("more", "value"), [(1.0, Value.FAILED), (-5.0, Value.UNKNOWN)])
def test_silence_fails_once_the_deadline_is_over(more, value):
    told, _, _ = bounced()
    told.drop(Bounced)
    within = get_software("prosody").refusal("", Unlinked.NXDOMAIN).within
    told.events[-1] = replace(told.events[-1], at=told.events[0].at + within + GRACE + more)
    finding = only(judged(told), value)
    assert "neither delivered nor refused" in finding.sentence
    assert finding.cause == "island received it and never sent it on"


def refused(condition, during=lambda told: None, after=lambda told: None):
    told, alice, bob, _ = three()
    during(told)
    told.say(alice, bob)
    told.add(Bounced, message="m1", device=alice, condition=condition, by="home.test")
    after(told)
    told.finish().drop(Delivered, message="m1")
    return judged(told)


def test_a_link_that_refuses_fails():
    finding = only(refused("remote-server-timeout"))
    assert "was bounced with remote-server-timeout from home.test, though the two are linked" in finding.sentence
    assert finding.servers == ("island", "home")
    assert "policy" in only(refused("not-allowed")).cause


def cut(*servers, groups=None):
    def apply(told):
        fields = {"fault": "partition", "fields": (("groups", groups),)} if groups else {"fault": "mine", "fields": ()}
        told.add(FaultApplied, number=1, began=told.time + 0.001, servers=servers, **fields)

    return apply


def heal(told):
    told.add(FaultHealed, number=1, fault="x", began=told.time)


@pytest.mark.parametrize(
    "outage",
    [
        lambda told: told.add(ServerEnded, server="home"),
        lambda told: told.add(ServerEnded, server="island"),
        cut("home", groups="home"),
        cut("home"),
    ],
)
def test_a_bounce_in_an_outage_is_counted_separately(outage):
    verdict = refused("remote-server-timeout", during=outage)
    assert verdict.value is Value.VALID
    assert verdict.sentence.endswith("1 delivered, 0 refused as promised. 1 message bounced because of an outage.")
    assert refused("remote-server-timeout", after=outage).value is Value.FAILED, "it began after the bounce"


@pytest.mark.parametrize("elsewhere", [cut("public", groups="public"), cut("public")])
def test_an_outage_elsewhere_excuses_nothing(elsewhere):
    assert refused("remote-server-timeout", during=elsewhere).value is Value.FAILED


@pytest.mark.parametrize(("ago", "value"), [(1.0, Value.VALID), (RETRY + 1.0, Value.FAILED)])
def test_a_fault_that_was_healed_before_excuses_nothing_once_servers_have_tried_again(ago, value):
    def before(told):
        cut("home")(told)
        heal(told)
        told.time += ago

    assert refused("remote-server-timeout", during=before).value is value


def test_a_fault_that_names_no_server_may_have_acted_on_the_link():
    finding = only(refused("remote-server-timeout", during=cut()), Value.UNKNOWN)
    assert "the fault mine, which names no server, was active" in finding.cause


def test_the_receivers_own_answer_proves_that_it_was_reached():
    assert refused("service-unavailable").value is Value.VALID


def test_a_link_of_which_nothing_was_heard_is_unknown():
    told, alice, bob, _ = three()
    told.say(alice, bob)
    told.finish()
    told.drop(Delivered)
    told.drop(ServerSaw, server="home")
    place = told.index(RouteSettled)
    told.events[place] = replace(told.events[place], arrived=False)
    assert "Whether island reaches home" in only(judged(told), Value.UNKNOWN).sentence


@pytest.mark.parametrize("sender", ["alice@island.test/phone", "room@conference.island.test/nick", "island.test"])
def test_no_stanza_enters_from_a_server_without_a_link(sender):
    told, alice, bob, _ = three()
    told.say(alice, bob)
    told.finish()
    for _ in range(3):
        told.add(
            ServerSaw, server="public", direction="in", stream="s2s", name="presence", type=None, id=None,
            sender=sender,
            receiver="carol@public.test", size=9, encryption=None, body=False, stanza="<presence/>",
        )  # fmt: skip
    finding = only(judged(told))
    assert finding.servers == ("island", "public")
    assert finding.stanzas == ("public in s2s: <presence/>",)


def test_a_server_the_lab_does_not_know_may_refuse_in_its_own_way():
    servers = (Server("island", "island.test", "custom", ""), Server("public", "public.test", "prosody", ""))
    told = SampleHistory(plan(servers, links=()))
    told.say(told.device("alice", "island"), told.device("carol", "public"))
    place = told.index(Bounced)
    told.events[place] = replace(told.events[place], condition="policy-violation")
    assert judged(told.finish()).value is Value.VALID


def test_a_carbon_for_the_sender_s_other_device_is_no_arrival():
    """Where there is no link it is no delivery, and where there is one it excuses no refusal."""
    told = SampleHistory()
    alice, carol = told.device("alice", "island"), told.device("carol", "public")
    laptop = told.device("alice", "island", "laptop")
    message = told.say(alice, carol)
    copy = {"sender": alice, "device": laptop, "stream": "s", "via": "carbon"}
    told.add(Delivered, message=message, **copy)
    assert judged(told.finish()).value is Value.VALID
    told = SampleHistory()
    alice, bob = told.device("alice", "island"), told.device("bob", "home")
    message = told.say(alice, bob)
    told.drop(Delivered, message=message)
    told.add(Delivered, message=message, **copy)
    told.add(Bounced, message=message, device=alice, condition="remote-server-not-found", by="home.test")
    assert judged(told.finish()).value is Value.FAILED
