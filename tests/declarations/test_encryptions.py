"""Encryptions: how a message shows them, and who can use them."""

import pytest

from lab.declarations.encryptions import ENCRYPTIONS, by_element, by_namespace, elements, encryption, is_end_to_end
from lab.errors import UserError


def test_plain_is_the_only_one_that_servers_can_read():
    assert [name for name in ENCRYPTIONS if not is_end_to_end(name)] == ["plain"]
    assert is_end_to_end("of-a-later-version")


def test_each_element_shows_one_encryption():
    assert len(elements()) == len(set(elements())) == len([one for one in ENCRYPTIONS.values() if one.element])
    for name, one in ENCRYPTIONS.items():
        if one.element:
            assert by_element(one.element) is by_namespace(one.namespace) is one
            assert one.name == name
    assert by_element("{jabber:client}body") is None is by_namespace(None)


def test_an_unknown_encryption_is_answered_with_those_that_can_be_used():
    assert encryption("omemo").namespace == "eu.siacs.conversations.axolotl"
    with pytest.raises(UserError, match="encryption 'omemo2' is unknown: use one of omemo, plain"):
        encryption("omemo2", ["plain", "omemo"])
