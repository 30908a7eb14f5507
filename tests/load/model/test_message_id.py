"""Ids of messages are decoded as they were encoded; other ids are not accepted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.load.model import message_id

NUMBER = st.integers(0, 2**32 - 1)


@given(st.integers(0, 255), NUMBER, NUMBER, NUMBER, st.integers(0, 2**63), st.integers(0, 2**63))
def test_ids_are_decoded(flags: int, sender: int, target: int, sequence: int, intended: int, actual: int) -> None:
    identity = message_id.encode_message_id(flags, sender, target, sequence, intended, actual)
    assert len(identity) == message_id.LENGTH
    assert message_id.decode_message_id(identity.decode()) == (flags, sender, target, sequence, intended, actual)


@given(st.text(max_size=60))
def test_other_ids_are_not_of_a_load(identity: str) -> None:
    fields = message_id.decode_message_id(identity)
    assert fields is None or len(identity) == message_id.LENGTH


@pytest.mark.parametrize("identity", ["z" * message_id.LENGTH, " " * message_id.LENGTH, "ä" * message_id.LENGTH])
def test_ids_of_the_same_length_are_checked(identity: str) -> None:
    assert message_id.decode_message_id(identity) is None


def test_a_delivery_report_has_the_fields_of_its_message() -> None:
    fields = message_id.decode_message_id(message_id.encode_message_id(message_id.WARMUP, 1, 2, 3, 4, 5000).decode())
    answered = message_id.decode_message_id(message_id.encode_delivery_report(fields).decode())
    assert answered == (message_id.WARMUP | message_id.DELIVERY_REPORT, *fields[1:])
