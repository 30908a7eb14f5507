"""Integrity: what a device reads of a message is what was sent."""

import pytest

from lab.checks import Value
from lab.checks.integrity import check
from lab.history.events import Decrypted, Delivered, FileFetched, FileUploaded, Intervened
from lab.metrics.record import RunRecord
from tests.checks.changed_history import change, only, two


def judged(told):
    return check(RunRecord(tuple(told.events), told.plan))


def plain(matches):
    told, alice, bob = two()
    told.say(alice, bob)
    change(told, told.index(Delivered), matches=matches)
    return told.finish()


def test_a_text_that_is_the_one_that_was_sent_is_valid():
    verdict = judged(plain(True))
    assert (verdict.value, verdict.judged) == (Value.VALID, 1)


def test_another_text_fails_and_names_the_message():
    assert only(judged(plain(False))).message == "m1"


def test_a_history_that_does_not_say_has_judged_nothing():
    verdict = judged(plain(None))
    assert (verdict.value, verdict.judged) == (Value.UNKNOWN, 0)


def test_the_attack_that_acted_on_the_message_is_the_cause():
    told = plain(False)
    told.add(
        Intervened, attack="intercept", action="replace", source="island", target="home", name="message", id="m1",
        sender="alice@island.test/phone", receiver="bob@home.test",
    )  # fmt: skip
    assert only(judged(told)).cause == "intercept acted on it between island and home (replace)"


@pytest.mark.parametrize(("matches", "value"), [(True, Value.VALID), (False, Value.FAILED)])
def test_a_decrypted_text_is_compared_as_well(matches, value):
    told, alice, bob = two(encryption="omemo")
    told.say(alice, bob, encryption="omemo")
    change(told, told.index(Decrypted), matches=matches)
    assert judged(told.finish()).value is value


def test_a_readable_text_beside_the_decrypted_one_fails():
    told, alice, bob = two(encryption="omemo")
    told.say(alice, bob, encryption="omemo")
    change(told, told.index(Delivered), matches=False)
    assert only(judged(told.finish())).message == "m1"


URL = "https://upload.island.test/x.txt"


def fetched(digest, url=URL):
    told, alice, bob = two()
    told.add(FileUploaded, device=alice, url=URL, size=2, sha256="aa", stored="cc", encrypted=True)
    told.add(FileFetched, device=bob, url=url, size=2, sha256=digest)
    return told


@pytest.mark.parametrize("digest", ["aa", "cc"])
def test_a_file_or_its_ciphertext_as_uploaded_is_valid(digest):
    verdict = judged(fetched(digest))
    assert (verdict.value, verdict.judged) == (Value.VALID, 1)
    assert "1 file fetched as uploaded" in verdict.sentence


def test_another_file_fails_and_one_of_a_stranger_is_not_judged():
    assert f"bob@home.test/phone fetched {URL}, and it is not what was uploaded" in only(judged(fetched("bb"))).sentence
    assert judged(fetched("bb", "https://upload.island.test/other")).judged == 0
