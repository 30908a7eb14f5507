"""Decryption: what a device reads of a message that was sent encrypted."""

import pytest

from lab.checks import Value
from lab.checks.judge import judge
from lab.history.events import Connected, Decrypted, Intervened, LeftOut, NotDecrypted, RouteSettled
from lab.metrics.record import RunRecord
from lab.report.formats.text import render
from tests.checks.changed_history import change, judged, only, two


def encrypted(**values):
    told, alice, bob = two(encryption="omemo", **values)
    told.say(alice, bob, encryption="omemo")
    return told, alice, bob


def test_what_is_decrypted_as_it_was_sent_is_valid():
    told, _, _ = encrypted()
    assert judged(told.finish()).value is Value.VALID


@pytest.mark.parametrize(("matches", "value"), [(False, Value.FAILED), (None, Value.UNKNOWN)])
def test_another_text_fails_and_an_unknown_one_is_unknown(matches, value):
    told, _, _ = encrypted()
    change(told, told.index(Decrypted), matches=matches)
    assert only(judged(told.finish()), value).message == "m1"


def test_a_device_that_cannot_decrypt_says_why():
    told, _, bob = encrypted()
    told.drop(Decrypted)
    told.add(NotDecrypted, message="m1", device=bob, encryption="omemo", reason="no session")
    assert only(judged(told.finish())).cause == "no session"


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({}, "stale-prekey changed what alice@island.test was told of the keys of bob@home.test (replace), no session"),
        ({"action": "read"}, "no session"),
        ({"name": "message"}, "no session"),
        ({"sender": "carol@home.test"}, "no session"),
        ({"at": 1e12}, "no session"),
    ],
)
def test_keys_that_an_attack_has_changed_are_the_cause(changes, cause):
    told, alice, bob = encrypted()
    told.drop(Decrypted)
    answer = {
        "attack": "stale-prekey",
        "action": "replace",
        "source": "home",
        "target": "island",
        "name": "iq",
        "id": "1",
    }
    told.add(Intervened, **{**answer, "sender": "bob@home.test", "receiver": alice, **changes})
    told.add(NotDecrypted, message="m1", device=bob, encryption="omemo", reason="no session")
    assert only(judged(told.finish())).cause == cause


def test_an_archived_copy_need_not_be_decrypted_again():
    told, _, bob = encrypted()
    told.add(NotDecrypted, message="m1", device=bob, encryption="omemo", reason="duplicate")
    assert judged(told.finish()).value is Value.VALID


def test_a_device_that_says_nothing_fails_only_behind_a_marker():
    told, _, _ = encrypted()
    told.drop(Decrypted)
    assert only(judged(told.finish())).message == "m1"
    told.drop(RouteSettled)
    assert judged(told).value is Value.UNKNOWN


def test_of_a_device_without_a_known_encryption_nothing_is_known():
    told, _, bob = encrypted()
    told.drop(Decrypted)
    change(told, told.index(Connected, device=bob), encryption="")
    assert judged(told.finish()).value is Value.UNKNOWN


def test_what_only_a_device_without_encryption_got_is_not_read():
    told, _, bob = encrypted()
    told.drop(Decrypted)
    change(told, told.index(Connected, device=bob), encryption="plain")
    found = only(judged(told.finish()))
    assert f"{bob}, which announces no encryption, got it and cannot read it" in found.sentence


def test_a_device_without_encryption_need_not_read_what_another_one_of_the_person_has_read():
    told, _, bob = encrypted()
    change(told, told.index(Decrypted), device=f"{bob.partition('/')[0]}/phone")
    change(told, told.index(Connected, device=bob), encryption="plain")
    assert judged(told.finish()).value is Value.VALID


def left_out(told, alice, **values):
    fields = {"message": "m1", "sender": alice, "owner": "bob@home.test", "omemo_device": 7, "reason": "no session"}
    told.add(LeftOut, **{**fields, "published": True, "excluded": False, **values})


@pytest.mark.parametrize("owner", ["bob@home.test", "alice@island.test"])
def test_a_device_with_published_keys_that_was_left_out_fails(owner):
    told, alice, _ = encrypted()
    left_out(told, alice, owner=owner)
    finding = only(judged(told.finish()))
    assert f"OMEMO device 7 of {owner} was left out, though its keys are published" in finding.sentence
    assert (finding.message, finding.cause) == ("m1", "no session")


@pytest.mark.parametrize(
    ("values", "value"),
    [
        ({"excluded": True}, Value.VALID),
        ({"published": False}, Value.VALID),
        ({"published": None}, Value.UNKNOWN),
    ],
)
def test_who_is_distrusted_or_has_no_keys_may_be_left_out(values, value):
    told, alice, _ = encrypted()
    left_out(told, alice, **values)
    assert judged(told.finish()).value is value


def test_the_report_names_who_was_left_out_and_why():
    told, alice, _ = encrypted()
    left_out(told, alice, excluded=True, reason="its key is distrusted")
    record = RunRecord(tuple(told.finish().events), told.plan)
    said = render(record, judge(record))
    assert "m1: device 7 of bob@home.test, by its sender's decision: its key is distrusted" in said
