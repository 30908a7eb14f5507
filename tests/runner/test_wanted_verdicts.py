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
        ({"delivery": "no"}, "expects={'delivery': 'no'}: choose one of valid, failed, unknown"),
        ({"roster": {"prosody": "no"}}, "expects={'roster': {'prosody': 'no'}}: choose one of valid, failed, unknown"),
        ({"roster": {"ejaberd@24.12": "failed"}}, "unknown software 'ejaberd', did you mean"),
        ({"roster": {"ejabberd@1": "failed"}}, "no version '1' of ejabberd"),
        ({"roster": 3}, "expects={'roster': 3}: choose one of"),
        ({"secretcy": "failed"}, "expects={'secretcy': …}: the checks are delivery, "),
    ],
)
def test_what_is_wrong_is_said(expects, says) -> None:
    with pytest.raises(UserError) as error:
        read_expects(expects)
    assert says in str(error.value)
