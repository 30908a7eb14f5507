"""Any honest history is valid; each single thing made wrong in it is found, and its message is named.

Histories are drawn: people on three servers, some with OMEMO, messages between any of them, markers at the end. A
mutation is what one bad server or device does.
"""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from lab.checks import judge
from lab.history.events import Bounced, Decrypted, Delivered, ServerSaw
from lab.metrics.record import RunRecord
from tests.checks.sample_history import SERVERS, SampleHistory


@st.composite
def honest(draw, *, with_canary=False):
    """With a canary the first two people have OMEMO, and the first message is between them."""
    told = SampleHistory()
    encryptions = draw(st.lists(st.sampled_from(["plain", "omemo"]), min_size=3, max_size=5))
    if with_canary:
        encryptions[:2] = ["omemo", "omemo"]
    people = [
        told.device(f"user{number}", SERVERS[number % 3], encryption=encryption)
        for number, encryption in enumerate(encryptions)
    ]
    pairs = st.tuples(st.sampled_from(people), st.sampled_from(people)).filter(lambda pair: pair[0] != pair[1])
    first = [(people[0], people[1])] if with_canary else []
    for number, (sender, receiver) in enumerate(first + draw(st.lists(pairs, min_size=1, max_size=10))):
        both = all(encryptions[int(jid[4])] == "omemo" for jid in (sender, receiver))
        marked = both and ((with_canary and number == 0) or draw(st.booleans()))
        canary = f"canary-{number:020x}" if marked else None
        told.say(sender, receiver, encryption="omemo" if both else "plain", canary=canary)
    return told.finish()


def judged(told):
    return judge(RunRecord(tuple(told.events), told.plan))


def places(told, kind, **values):
    return [
        place
        for place, event in enumerate(told.events)
        if type(event) is kind and all(getattr(event, key) == value for key, value in values.items())
    ]


def pick(data, told, kind, **values):
    found = places(told, kind, **values)
    assume(found)
    return data.draw(st.sampled_from(found))


def names(judgement, message):
    failed = [finding for each in judgement.verdicts for finding in each.findings if finding.value == "failed"]
    return judgement.value == "failed" and message in {finding.message for finding in failed} and message in str(failed)


@given(honest())
def test_an_honest_history_is_valid(told):
    judgement = judged(told)
    assert judgement.value == "valid", judgement


@given(honest(), st.data())
def test_a_dropped_message_is_lost(told, data):
    message = told.events[pick(data, told, Delivered, marker=False)].message
    for kind in (Delivered, Decrypted):
        if places(told, kind, message=message):
            told.drop(kind, message=message)
    assert names(judged(told), message)


@given(honest(), st.data())
def test_a_repeated_message_is_found(told, data):
    place = pick(data, told, Delivered, marker=False)
    told.events.insert(data.draw(st.integers(place, len(told.events) - 1)), told.events[place])
    assert names(judged(told), told.events[place].message)


@given(honest(), st.data())
def test_two_messages_in_the_wrong_order_are_found(told, data):
    later = pick(data, told, Delivered)
    mine = places(told, Delivered, sender=told.events[later].sender, device=told.events[later].device)
    assume(mine[0] != later)
    earlier = data.draw(st.sampled_from([place for place in mine if place < later]))
    told.events[earlier], told.events[later] = told.events[later], told.events[earlier]
    assert judged(told).value == "failed"
    assert "overtook" in judged(told).sentence


@given(honest(), st.data())
def test_a_bounce_beside_a_delivery_is_found(told, data):
    one = told.events[pick(data, told, Delivered, marker=False)]
    told.add(Bounced, message=one.message, device=one.sender, condition="recipient-unavailable", by="home.test")
    assert names(judged(told), one.message)


@given(honest(), st.data())
def test_a_refusal_that_does_not_come_is_found(told, data):
    message = told.events[pick(data, told, Bounced)].message
    told.drop(Bounced, message=message)
    told.events[-1] = replace(told.events[-1], at=told.events[-1].at + 300)
    assert names(judged(told), message)


@given(honest(), st.data())
def test_a_message_that_crosses_without_a_link_is_found(told, data):
    bounce = told.events[pick(data, told, Bounced)]
    told.add(Delivered, message=bounce.message, sender=bounce.device, device="x@public.test/y", stream="s", via="live")
    assert names(judged(told), bounce.message)


@given(honest(), st.data())
def test_another_text_than_was_sent_is_found(told, data):
    place = pick(data, told, Decrypted)
    told.events[place] = replace(told.events[place], matches=False)
    assert names(judged(told), told.events[place].message)


@given(honest(with_canary=True), st.data())
def test_a_canary_in_any_stanza_is_found(told, data):
    canary, message, _ = data.draw(st.sampled_from(told.canaries))
    place = pick(data, told, ServerSaw)
    told.events[place] = replace(told.events[place], stanza=f"<message><body>{canary}</body></message>")
    assert names(judged(told), message)


@given(honest(), st.data())
def test_a_forged_message_is_found(told, data):
    place = pick(data, told, Delivered, marker=False)
    told.events.insert(place, replace(told.events[place], message="forged"))
    assert names(judged(told), "forged")


@given(honest(), st.data())
def test_no_history_with_events_missing_is_called_failed_for_want_of_feeds(told, data):
    """Whatever servers did not tell, nobody is accused for it."""
    kept = data.draw(st.sets(st.sampled_from(places(told, ServerSaw))))
    told.events[:] = [event for place, event in enumerate(told.events) if type(event) is not ServerSaw or place in kept]
    assert judged(told).value in ("valid", "unknown")


@given(honest(), st.data())
def test_a_history_cut_off_anywhere_is_never_valid(told, data):
    end = data.draw(st.integers(0, len(told.events) - 1))
    del told.events[end:]
    assert judged(told).value != "valid"
