"""Errors between processes: whatever is written is read as the same class with the same text."""

from __future__ import annotations

import pytest

from lab import exit_codes
from lab.errors import (
    LabError,
    MissingError,
    NotReady,
    PeerError,
    TimedOut,
    UserError,
    decode_error,
    encode_answer,
    encode_event,
)


class Refused(PeerError):
    """A class that only one process knows."""


@pytest.mark.parametrize("error", [UserError("a"), MissingError("b"), PeerError("c"), TimedOut("d", ("one", "two"))])
def test_an_error_is_read_as_it_was_written(error: LabError) -> None:
    for written in (encode_answer(error), encode_event(error)):
        read = decode_error(written)
        assert (type(read), str(read)) == (type(error), str(error))


def test_the_evidence_of_a_timeout_comes_along_and_other_lines_stay_in_the_message() -> None:
    error = TimedOut("too late", ("last line",))
    read = decode_error(encode_answer(error))
    assert isinstance(read, TimedOut)
    assert read.evidence == ("last line",)
    assert str(decode_error(encode_answer(TimedOut("two\nlines")))) == "two\nlines"


def test_an_event_names_the_class_and_an_answer_the_kind() -> None:
    assert encode_event(NotReady("late")) == {"event": "failed", "kind": "NotReady", "message": "late"}
    assert encode_answer(NotReady("late")) == {"kind": "timeout", "message": "late"}
    assert encode_event(Refused("no"))["kind"] == "PeerError"
    assert encode_answer(ValueError("x")) == {"kind": "internal", "message": "ValueError: x"}


def test_the_condition_of_a_refusal_comes_along() -> None:
    written = encode_answer(PeerError("no", "conflict"))
    assert written == {"kind": "peer", "message": "no", "condition": "conflict"}
    read = decode_error(written)
    assert isinstance(read, PeerError) and read.condition == "conflict"


def test_what_is_not_known_is_the_other_sides_fault() -> None:
    for kind in ("internal", "of a later version"):
        assert type(decode_error({"kind": kind, "message": "m"})) is PeerError


def test_each_class_has_its_exit_code() -> None:
    codes = [exit_codes.get_exit_code(error("x")) for error in (UserError, MissingError, NotReady, TimedOut, PeerError)]
    assert codes == [64, 69, 3, 70, 70]
    assert exit_codes.get_exit_code(PeerError("x"), otherwise=1) == 1
