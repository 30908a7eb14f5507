"""Which stanzas a rule acts on, and what becomes of them."""

import pytest

from lab.declarations.faults.encryption_downgrade import RULES
from lab.declarations.stanza_rules import read_rules
from lab.errors import UserError
from lab.network.stanza_rules import CountedRule, decide
from lab.network.stanza_stream import RelayedStanza

HEADER = b"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>"
MESSAGE = b"<message from='alice@a.test/x' to='bob@b.test' type='chat' id='1'><body>hi</body></message>"


def counted(*rules):
    return [CountedRule(one, "test") for one in read_rules(list(rules))]


def after(raw, *rules):
    return decide(counted(*rules), RelayedStanza(HEADER, raw))


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({}, True),
        ({"stanza": "message"}, True),
        ({"stanza": "iq"}, False),
        ({"type": "chat"}, True),
        ({"type": "error"}, False),
        ({"sender": "alice@a.test"}, True),
        ({"sender": "alice@a.test/x"}, True),
        ({"sender": "a.test"}, True),
        ({"sender": "test"}, False),
        ({"sender": "alice@a.test/y"}, False),
        ({"except_sender": "alice@a.test"}, False),
        ({"except_sender": "a.test"}, False),
        ({"except_sender": "carol@a.test"}, True),
        ({"receiver": "b.test"}, True),
        ({"receiver": "a.test"}, False),
        ({"element": "body"}, True),
        ({"element": "body", "namespace": "jabber:server"}, True),
        ({"element": "body", "namespace": "jabber:client"}, False),
        ({"element": "hi"}, False),
        ({"element": "message"}, False),
        ({"namespace": "jabber:server"}, True),
        ({"contains": ">hi<"}, True),
        ({"contains": "ho"}, False),
    ],
)
def test_a_stanza_fits_if_it_fits_every_field(fields, fits):
    assert bool(after(MESSAGE, {"action": "drop", **fields}).acted) is fits


@pytest.mark.parametrize(
    ("direction", "fields", "fits"),
    [
        (("alice@a.test/x", "a"), {"sender": "alice@a.test"}, True),
        (("alice@a.test/x", "a"), {"except_sender": "alice@a.test"}, False),
        (("alice@a.test/x", "a"), {"receiver": "alice@a.test"}, True),
        (("a", "alice@a.test/x"), {"sender": "alice@a.test"}, True),
        (("a", "alice@a.test/x"), {"receiver": "alice@a.test/x"}, True),
        (("a", "b"), {"sender": "a"}, False),
    ],
)
def test_a_client_may_leave_out_itself_and_its_account(direction, fields, fits):
    (rule,) = counted({"action": "drop", **fields})
    assert rule.acts_on(RelayedStanza(HEADER, b"<iq type='result'/>"), direction) is fits


def test_every_nth_of_those_that_fit():
    rules = counted({"action": "drop", "stanza": "message", "nth": 3})
    copies = []
    for raw in (MESSAGE, b"<iq/>", MESSAGE, MESSAGE, MESSAGE, MESSAGE, MESSAGE):
        copies.append(decide(rules, RelayedStanza(HEADER, raw)).copies)
    assert copies == [1, 1, 1, 0, 1, 1, 0]


def test_rules_act_one_after_the_other_until_one_drops_it():
    rules = (
        {"action": "repeat", "times": 2},
        {"action": "delay", "after": "3s"},
        {"action": "replace", "element": "body", "text": "<ho>"},
        {"action": "drop", "contains": "hi"},
        {"action": "reorder"},
    )
    decision = after(MESSAGE, *rules)
    assert (decision.copies, decision.delay, decision.hold, len(decision.acted)) == (3, 3.0, True, 4)
    assert decision.stanza.raw == MESSAGE.replace(b"hi", b"&lt;ho&gt;")
    assert after(MESSAGE, {"action": "drop"}, {"action": "repeat"}).copies == 0


def test_every_such_element_is_removed_and_its_surroundings_stay():
    raw = b"<message><x xmlns='n'><x/></x> <y xmlns='n'/><x xmlns='n'/><x xmlns='m'/></message>"
    decision = after(raw, {"action": "remove", "element": "x", "namespace": "n"})
    assert decision.stanza.raw == b"<message> <y xmlns='n'/><x xmlns='m'/></message>"


def test_an_element_is_replaced_by_xml():
    decision = after(MESSAGE, {"action": "replace", "element": "body", "xml": "<b xmlns='n'>1</b>"})
    assert decision.stanza.raw == MESSAGE.replace(b"<body>hi</body>", b"<b xmlns='n'>1</b>")


@pytest.mark.parametrize(("before", "after_it"), [(b"<l><a/></l>", b"<l><a/><b/></l>"), (b"<l/>", b"<l><b/></l>")])
def test_xml_is_put_last_into_an_element(before, after_it):
    raw = b"<message from='a.test'>%s</message>"
    decision = after(raw % before, {"action": "append", "element": "l", "xml": "<b/>"})
    assert decision.stanza.raw == raw % after_it


def test_a_text_inside_an_element_is_substituted_and_no_other():
    raw = b"<message id='hi'><body>hi, hi there</body><x xmlns='n'>hi</x></message>"
    decision = after(raw, {"action": "substitute", "element": "body", "contains": "hi", "text": "<ho>"})
    assert decision.stanza.raw == raw.replace(b"hi, hi", b"&lt;ho&gt;, &lt;ho&gt;")


@pytest.mark.parametrize(
    ("to", "body", "becomes"),
    [
        ("otr:2", "?OTRv23?", "?OTRv2?"),
        ("otr:2", "?OTR?v23?", "?OTRv2?"),
        ("otr:2", "hi \t  \t\t\t\t \t \t \t    \t\t  \t   \t\t  \t\t", "hi \t  \t\t\t\t \t \t \t    \t\t  \t "),
        ("otr:2", "?OTR:AAMC", "?OTR:AAMC"),
        ("plain", "?OTRv23?", None),
        ("plain", "hi \t  \t\t\t\t \t \t \t    \t\t  \t   \t\t  \t\t", "hi"),
        ("omemo", "?OTRv23?", "?OTRv23?"),
    ],
)
def test_offers_of_otr_name_an_older_version_or_vanish(to, body, becomes):
    raw = "<message from='a.test'><body>%s</body></message>"
    decision = decide([CountedRule(one, "test") for one in RULES[to]], RelayedStanza(HEADER, (raw % body).encode()))
    assert decision.copies == (becomes is not None)
    if becomes is not None:
        assert decision.stanza.raw.decode() == raw % becomes


@pytest.mark.parametrize(
    ("element", "namespace", "emptied"),
    [
        ("devices", "urn:xmpp:omemo:2", ("omemo", "plain")),
        ("list", "eu.siacs.conversations.axolotl", ("plain",)),
        ("list", "another", ()),
    ],
)
def test_device_lists_of_better_versions_are_emptied(element, namespace, emptied):
    raw = f"<iq from='a.test'><{element} xmlns='{namespace}'>%s</{element}></iq>"
    found = []
    for to, rules in RULES.items():
        decision = decide([CountedRule(one, "test") for one in rules], RelayedStanza(HEADER, (raw % "<x/>").encode()))
        found += [to] if decision.stanza.raw == (raw % "").encode() else []
    assert tuple(found) == emptied


@pytest.mark.parametrize(
    ("text", "becomes"), [("abcde", "abAde"), ("xAy", "xBy"), ("==A==", "==B=="), ("==", "=="), ("a<b/>c", "a<b/>c")]
)
def test_a_letter_in_the_middle_of_a_text_is_another(text, becomes):
    raw = "<message><payload xmlns='n'>%s</payload></message>"
    decision = after((raw % text).encode(), {"action": "corrupt", "element": "payload"})
    assert decision.stanza.raw.decode() == raw % becomes


def test_what_is_read_passes_as_it_is():
    decision = after(MESSAGE, {"action": "read", "element": "body"})
    assert (decision.stanza.raw, decision.copies, len(decision.acted)) == (MESSAGE, 1, 1)


def test_what_is_not_touched_is_the_same_bytes():
    raw = b"<message  note = 'x'><u:body xmlns:u='n'/><body></body></message>"
    assert after(raw, {"action": "remove", "element": "encrypted"}).stanza.raw is raw


def test_a_prefix_that_nobody_declares_is_left_to_the_receiver():
    raw = b"<message><no:body/></message>"
    decision = after(raw, {"action": "drop", "element": "body"})
    assert (decision.copies, decision.acted) == (1, [])


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ([], "must be a list of rules"),
        ("drop", "must be a list of rules"),
        ([{"stanza": "iq"}], "rule 1: must be a mapping with an action"),
        ([{"action": "drop"}, {"action": "eat"}], "rule 2: action 'eat' is none of drop"),
        ([{"action": "drop", "stanza": "stanza"}], "is none of message, presence, iq"),
        ([{"action": "drop", "each": 3}], "no field 'each'"),
        ([{"action": "drop", "nth": 0}], "whole number of at least 1"),
        ([{"action": "remove"}], "needs the `element`"),
        ([{"action": "replace", "element": "body"}], "either `text`"),
        ([{"action": "corrupt"}], "needs the `element`"),
        ([{"action": "append", "element": "list"}], "append needs `xml`"),
        ([{"action": "append", "xml": "<b/>"}], "needs the `element`"),
        ([{"action": "substitute", "element": "body", "text": "x"}], "substitute needs `contains`"),
        ([{"action": "substitute", "element": "body", "contains": "x"}], "substitute needs `contains`, and `text`"),
        ([{"action": "delay"}], "needs `after`"),
        ([{"action": "delay", "after": 3}], "has no unit"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_number(rules, says):
    with pytest.raises(UserError, match=says):
        read_rules(rules)
