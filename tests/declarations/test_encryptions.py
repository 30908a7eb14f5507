"""Encryptions: how a message shows them, and who can use them."""

import base64
from xml.etree import ElementTree as ET

import pytest

from lab.clients.xmpp.stanzas import read_delivery
from lab.declarations.encryptions import (
    ENCRYPTIONS,
    find_by_body,
    find_by_element,
    find_by_namespace,
    find_in_message,
    get_encryption,
    is_end_to_end,
    list_bodies,
    list_elements,
    split_offer,
)
from lab.errors import UserError


def test_plain_is_the_only_one_that_servers_can_read():
    assert [name for name in ENCRYPTIONS if not is_end_to_end(name)] == ["plain"]
    assert is_end_to_end("of-a-later-version")


def test_each_element_shows_one_encryption():
    assert (
        len(list_elements()) == len(set(list_elements())) == len([one for one in ENCRYPTIONS.values() if one.element])
    )
    for name, one in ENCRYPTIONS.items():
        if one.element:
            assert find_by_element(one.element) is find_by_namespace(one.namespace) is one
            assert one.name == name
    assert find_by_element("{jabber:client}body") is None is find_by_namespace(None)


def _message(body: str) -> ET.Element:
    message = ET.Element("{jabber:client}message")
    ET.SubElement(message, "{jabber:client}body").text = body
    return message


TAGS = base64.b64encode(bytes(8) + b"\0").decode()  # two instance tags, and no flag
FLAGGED = base64.b64encode(bytes(8) + b"\1").decode()
OTR = {
    f"?OTR:AAMD{TAGS}AAAA.": True,
    f"?OTR:AAMD{FLAGGED}AAAA.": False,  # the shared-secret check, or the end of the session
    f"?OTR|5a73a599|27e31597,00001,00003,?OTR:AAMD{TAGS}AA,": True,
    f"?OTR|5a73a599|27e31597,00002,00003,AAAA{TAGS},": False,
    f"?OTR|5a73a599|27e31597,00001,00003,?OTR:AAMD{FLAGGED}AA,": False,
    "?OTR:AAIDAAAA.": True,
    "?OTR:AAIDAQAA.": False,
    "?OTR,1,3,?OTR:AAIDAAAA,": True,
    "?OTR,2,3,AAIDAAAA,": False,
    "?OTR:AAMCAAAA.": False,  # key exchange
    "?OTRv23?\nan offer": False,
    "?OTR Error: no": False,
}


@pytest.mark.parametrize(("body", "text"), OTR.items())
def test_a_body_shows_otr_and_whether_somebody_wrote_something(body, text):
    declared = find_by_body(body)
    assert declared is ENCRYPTIONS["otr"] is find_in_message(["{urn:xmpp:hints}store"], body)
    assert declared.has_text(_message(body), body) is text
    found = read_delivery(_message(body), "live", "b@b.test/x")
    assert (found.encrypted, found.keys_only) == ("urn:xmpp:otr:0", not text)


def test_an_element_counts_before_a_body_and_other_bodies_show_nothing():
    omemo = ENCRYPTIONS["omemo"]
    assert find_in_message([omemo.element], "?OTR") is omemo
    assert find_in_message(["{urn:example}encrypted"], "see ?OTR:") is None is find_by_body(None)
    assert list_bodies() == ("urn:xmpp:otr:0 ?OTR",)


def test_the_offer_in_a_text_in_the_clear_is_no_part_of_it():
    tag = " \t  \t\t\t\t \t \t \t  " + "  \t\t  \t " + "  \t\t  \t\t"
    assert split_offer(f"hello{tag}") == ("hello", "otr")
    assert split_offer("hello \t world  ") == ("hello \t world  ", "")
    found = read_delivery(_message(f"hello{tag}"), "live", "b@b.test/x")
    assert (found.body, found.encrypted, found.offer) == ("hello", None, "otr")


def test_an_unknown_encryption_is_answered_with_those_that_can_be_used():
    assert get_encryption("omemo").namespace == "eu.siacs.conversations.axolotl"
    with pytest.raises(UserError, match="encryption 'omemo2' is unknown: use one of omemo, plain"):
        get_encryption("omemo2", ["plain", "omemo"])
