"""Names as servers prepare them."""

from __future__ import annotations

from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slixmpp import JID

from lab.errors import UserError
from lab.federation import jids
from lab.plan.layout import Layout
from lab.servers.prosody.accounts import encode_store_name

ODD = st.text(max_size=300) | st.text("./\\\0\n aA\u00df@%~\ud800", max_size=8)


@given(ODD, ODD)
def test_a_name_is_one_that_every_part_of_the_lab_can_carry_or_an_error(user: str, resource: str) -> None:
    try:
        user, resource = jids.prepare_localpart(user), jids.prepare_resourcepart(resource)
    except UserError as error:
        assert str(error).isprintable()
        return
    assert jids.prepare_localpart(user) == user, "what was prepared stays as it is"
    client = JID(f"{user}@a.test/{resource}")
    assert (client.bare, client.resource) == (f"{user}@a.test", resource), "the same for a client"
    layout = Layout(Path("/lab"))
    place = layout.device("a", user, resource).relative_to("/lab/people/a")
    assert len(place.parts) == 2, "two folders, neither of them another one's"
    assert not {"..", "."} & {*place.parts, *PurePath(encode_store_name(user)).parts}
    assert max(len(part.encode()) for part in (*place.parts, encode_store_name(user))) < 230


@given(ODD, ODD)
def test_two_names_have_two_folders(one: str, other: str) -> None:
    try:
        one, other = jids.prepare_localpart(one), jids.prepare_localpart(other)
    except UserError:
        return
    layout = Layout(Path("/lab"))
    assert (layout.person("a", one) == layout.person("a", other)) == (one == other)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("\U00016800", "servers refuse U+16800"),
        ("with space", "U+0020 at position 5"),
        ("a/b", "'/' cannot be in a localpart"),
        ("\uff20", "'@' cannot be in a localpart"),
        ("bell\x07", "U+0007 at position 5"),
        ("\ud800", "U+D800 at position 1"),
        ("a\u05d0", "mixes directions of writing"),
        ("x" * 300, "too long"),
        ("\u00fc" * 40, "too long"),
        ("", "cannot be empty"),
        (7, "is a text, not int"),
    ],
)
def test_what_is_wrong_is_said(name: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        jids.prepare_localpart(name)
    assert said in str(raised.value)
