"""Encryptions: how a message shows them, and who can use them."""

import pytest

from lab.declarations.encryptions import (
    ENCRYPTIONS,
    find_by_element,
    find_by_namespace,
    get_encryption,
    is_end_to_end,
    list_elements,
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


def test_an_unknown_encryption_is_answered_with_those_that_can_be_used():
    assert get_encryption("omemo").namespace == "eu.siacs.conversations.axolotl"
    with pytest.raises(UserError, match="encryption 'omemo2' is unknown: use one of omemo, plain"):
        get_encryption("omemo2", ["plain", "omemo"])
