import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.history.canaries import Hit, find, find_all

CANARY = "canary-0123456789abcdef"
canaries = st.text(st.characters(codec="utf-8"), min_size=8, max_size=40)
noise = st.binary(max_size=60)


def test_nothing_is_found_where_nothing_is():
    assert find(CANARY, b"<body>hello</body> " + CANARY[:-1].encode()) == ()


@given(canary=canaries, before=noise, after=noise)
def test_raw_and_hex_are_found_between_anything(canary, before, after):
    assert "raw" in find(canary, before + canary.encode() + after)
    assert "hex" in find(canary, before + canary.encode().hex().encode() + after)
    assert "hex" in find(canary, before + canary.encode().hex().upper().encode() + after)


@given(canary=canaries, before=noise, after=noise)
def test_base64_is_found_at_any_alignment(canary, before, after):
    plain = before + canary.encode() + after
    assert "base64" in find(canary, base64.b64encode(plain))
    assert "base64" in find(canary, base64.urlsafe_b64encode(plain))
    assert "base64" in find(canary, base64.b64encode(plain).replace(b"=", b""))


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("after", range(4))
def test_base64_at_each_alignment_and_only_base64(before, after):
    data = base64.b64encode(b"x" * before + CANARY.encode() + b"y" * after)
    assert find(CANARY, data) == ("base64",)


@pytest.mark.parametrize(
    "written",
    ["&lt;tag&gt; &amp; more", '\\"quoted\\"', "caf\\u00e9 au lait", "&quot;quoted&quot;"],
)
def test_escaped_text_is_raw(written):
    plain = {"&lt;tag&gt; &amp; more": "<tag> & more", "caf\\u00e9 au lait": "café au lait"}.get(written, '"quoted"')
    assert find(plain, f"... {written} ...".encode()) == ("raw",)


def test_too_short_a_canary_is_refused():
    with pytest.raises(ValueError, match="too short"):
        find("abc", b"abc")


def test_many_at_once_say_which():
    wanted = [f"canary-{number:02x}{number:022x}" for number in range(50)]
    data = wanted[7].encode() + b" " + base64.b64encode(wanted[9].encode())
    assert find_all(wanted, data) == (Hit(wanted[7], "raw"), Hit(wanted[9], "base64"))
    assert find_all(wanted, b"nothing") == ()
    assert find_all([], b"nothing") == ()


@given(wanted=st.lists(canaries, unique=True, min_size=3, max_size=6), data=st.data())
def test_many_at_once_find_what_each_alone_finds(wanted, data):
    chosen = data.draw(st.sampled_from(wanted))
    coded = data.draw(st.sampled_from([bytes, base64.b64encode, lambda text: text.hex().encode()]))
    text = b"ab " + coded(chosen.encode()) + b" c"
    each = sorted(Hit(canary, encoding) for canary in wanted for encoding in find(canary, text))
    assert list(find_all(wanted, text)) == each


def test_in_base64_the_last_character_is_not_told_apart():
    assert find(CANARY[:-1] + "e", base64.b64encode(CANARY.encode() + b"--")) == ("base64",)
