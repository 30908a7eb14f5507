"""The public API says what its types do not: units, errors, what holds once a coroutine returns, the RFC or XEP."""

from __future__ import annotations

import pytest

from tests.house.public_api import DEFINED_ELSEWHERE, PUBLIC, problems
from tests.house.tree import ROOT


def source(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(PUBLIC))
def test_the_public_api_is_documented(path: str) -> None:
    wrong = list(problems(path, source(path)))
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_public_name_is_looked_at() -> None:
    """What `lab` and `lab.federation` give to scripts is in the table, and so is what a RFC or XEP defines."""
    import lab
    import lab.federation

    names = {name for public in PUBLIC.values() for name in public}
    assert {*lab.__all__, *lab.federation.__all__} - names == {"Promise"}  # a union of two that are there
    assert {one.partition(".")[0] for one in DEFINED_ELSEWHERE} <= names


#: A file, a part of its documentation, what it becomes, and what is then said.
REMOVED = [
    ("lab/federation/people.py", '"""The first device."""', "", "Person.device: no docstring"),
    ("lab/federation/people.py", "Raises UserError if none is connected.", "", "Person.connected_device: raises"),
    ("lab/federation/devices.py", "Log out (RFC 6120 section 4.4).", "Log out.", "RFC or XEP"),
    ("lab/federation/peers.py", "return the seconds until its answer", "return the time", "Peer.ping: within"),
    ("lab/federation/outcomes.py", "    at: float  # seconds since the epoch", "    at: float", "at is a number"),
    ("lab/federation/devices.py", "Returns once the server has closed the stream.", "", "what holds once it returns"),
    ("lab/runner/expectations.py", "Raises ExpectationFailed", "Fails", "expect: raises ExpectationFailed"),
    ("lab/testing/containers.py", "Raises NotReady if the server has not", "If the server has not", "raises NotReady"),
]


@pytest.mark.parametrize(("path", "part", "instead", "said"), REMOVED, ids=[one[-1] for one in REMOVED])
def test_what_is_taken_away_is_missed(path: str, part: str, instead: str, said: str) -> None:
    text = source(path)
    assert part in text
    changed = text.replace(part, instead)
    if part.startswith("return the seconds"):
        changed = changed.replace("`within` is in seconds, or a text", "`within` is a text")
    assert any(said in one for one in problems(path, changed))
