"""`expects` as people write it: read, or refused with what to write instead."""

import pytest

from lab.errors import UserError
from lab.runner.wanted_verdicts import read_expects


def test_values_and_values_by_software_are_read() -> None:
    assert read_expects(None) == ()
    assert read_expects({"secrecy": "failed", "roster": {"ejabberd@24.12": "failed", "prosody": "unknown"}}) == (
        ("secrecy", "failed"),
        ("roster", (("ejabberd@24.12", "failed"), ("prosody", "unknown"))),
    )


@pytest.mark.parametrize(
    ("expects", "says"),
    [
        ({"a": "no"}, "expects={'a': 'no'}: choose one of valid, failed, unknown"),
        ({"a": {"prosody": "no"}}, "expects={'a': {'prosody': 'no'}}: choose one of valid, failed, unknown"),
        ({"a": {"ejaberd@24.12": "failed"}}, "unknown software 'ejaberd', did you mean"),
        ({"a": {"ejabberd@1": "failed"}}, "no version '1' of ejabberd"),
        ({"a": 3}, "expects={'a': 3}: choose one of"),
    ],
)
def test_what_is_wrong_is_said(expects, says) -> None:
    with pytest.raises(UserError) as error:
        read_expects(expects)
    assert says in str(error.value)
