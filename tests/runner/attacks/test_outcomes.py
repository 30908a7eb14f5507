"""What a cell says: from histories made by hand, one for each way in which an attack ends."""

import pytest

from lab.checks.judge import judge
from lab.faults.carbon_forgery import FORGED
from lab.history.events import CanaryFound, Decrypted, Delivered, Intervened, NotDecrypted, NotSent, ReceiptReceived
from lab.metrics.record import RunRecord
from lab.runner.attacks.cells import Cell, CellOutcome, get_kind
from lab.runner.attacks.outcomes import judge_trial
from lab.runner.attacks.trials import AttackTrial
from tests.checks.changed_history import two

ALICE, BOB = "alice@island.test", "bob@home.test"


class Told:
    """Alice writes to bob once, under attack, and bob's device acknowledges it; a test changes what follows."""

    def __init__(self, attack, encryption="omemo", acted=True, receipt=True):
        self.told, self.alice, self.bob = two(encryption=encryption)
        self.trial = AttackTrial(
            Cell(attack, encryption, "blind"), get_kind(attack), "island", "home", ALICE, BOB, began=1.0
        )
        self.attack = attack
        self.message = self.told.say(self.alice, self.bob, encryption=encryption, canary="canary-1")
        if encryption == "plain":
            self.replace(Delivered, matches=True)
        if acted and self.trial.kind.faults:
            self.told.add(
                Intervened, attack=self.trial.kind.faults[0], action="drop", source="island", target="home",
                name="message", id=self.message, sender=self.alice, receiver=BOB,
            )  # fmt: skip
        if receipt:
            self.told.add(ReceiptReceived, message=self.message, device=self.alice, by=self.bob)

    def add(self, kind, **values):
        at_bob = {"device": self.bob, "sender": self.alice} if kind in (Decrypted, Delivered, NotDecrypted) else {}
        self.told.add(kind, **{"message": self.message, **at_bob, **values})
        return self

    def and_another(self):
        second = self.told.say(self.alice, self.bob, encryption="omemo", canary="canary-2")
        self.told.add(ReceiptReceived, message=second, device=self.alice, by=self.bob)
        return self

    def replace(self, kind, **values):
        place = self.told.index(kind)
        self.told.events[place] = type(self.told.events[place])(**{**vars(self.told.events[place]), **values})
        return self

    def remove(self, *kinds):
        self.told.events = [one for one in self.told.events if not isinstance(one, kinds)]
        return self

    def judged(self, **ended):
        self.told.finish(**ended)
        record = RunRecord(tuple(self.told.events), self.told.plan)
        return judge_trial(record, judge(record), self.trial)


def test_a_message_that_is_read_as_ever_shows_an_attack_that_is_impossible():
    assert Told("replay").judged().text == "impossible"


def test_an_attacker_who_reads_along_is_unnoticed_though_the_secrecy_check_knows():
    told = Told("swap-bundle")
    told.told.add(
        CanaryFound, server="home", place="attack", canary="canary-1", encoding="raw", where="swap-bundle",
        message=told.message,
    )  # fmt: skip
    assert told.judged().text == "unnoticed"


def test_what_a_device_refuses_its_sender_notices():
    told = Told("downgrade-plain", receipt=False).remove(Delivered, Decrypted)
    told.told.events = [one for one in told.told.events if one.kind != "server-saw"]
    result = told.add(NotSent, reason="not sent: no device").judged()
    assert (result.text, result.why) == ("sender", "not sent: no device")


def test_what_vanishes_is_noticed_by_the_receipt_that_is_missing():
    result = Told("drop-stanzas", receipt=False).remove(Delivered, Decrypted).judged()
    assert (result.text, result.why) == ("sender", "the receipt is missing")


def test_what_vanishes_and_is_acknowledged_is_noticed_by_a_check_alone():
    result = Told("drop-stanzas").remove(Delivered, Decrypted)
    result.told.say(result.alice, result.bob, to=result.bob, marker=True)
    assert result.judged().outcome is not CellOutcome.IMPOSSIBLE


def test_a_second_copy_that_cannot_be_decrypted_the_receiver_notices():
    result = Told("replay").add(NotDecrypted, encryption="omemo", reason="used up").judged()
    assert (result.text, result.why) == ("receiver", "it cannot be decrypted: used up")


def test_a_second_copy_that_is_read_is_noticed_by_a_check_alone():
    told = Told("replay")
    told.add(Delivered, stream="s", via="live").add(Decrypted, encryption="omemo", matches=True)
    assert (told.judged().text, told.judged().checks) == ("check delivery", ("delivery",))


def test_a_text_in_the_clear_of_a_message_that_was_encrypted_the_receiver_notices():
    assert Told("strip-encryption").remove(Decrypted).replace(Delivered, matches=False).judged().text == "receiver"


def test_an_older_version_is_noticed_by_nobody():
    told = Told("downgrade-older", encryption="omemo:2").replace(Decrypted, encryption="omemo")
    assert told.judged().text == "unnoticed"
    assert Told("downgrade-older", encryption="omemo:2").judged().text == "impossible"


def test_a_device_that_is_left_out_and_shows_nothing_is_not_noticed():
    assert Told("withhold-device-list").judged().text == "unnoticed"  # one of two has read it


def test_the_first_of_two_that_cannot_be_read_is_noticed_as_the_second_is():
    told = Told("reorder").and_another()
    assert told.judged().text == "impossible"
    told = Told("reorder").and_another().add(NotDecrypted, encryption="omemo", reason="used up")
    assert (told.judged().text, len(told.judged().messages)) == ("receiver", 2)


def test_a_forged_copy_that_is_shown_is_noticed_by_a_check_alone():
    assert Told("forge-carbon", encryption="plain").replace(Intervened, action="send").judged().text == "impossible"
    told = Told("forge-carbon", encryption="plain").replace(Intervened, action="send")
    told.add(Delivered, message=f"{told.message}{FORGED}", sender=told.bob, stream="s", via="carbon")
    assert (told.judged().text, told.judged().checks) == ("check delivery", ("delivery",))


def test_who_only_reads_along_has_not_attacked():
    told = Told("forge-carbon", encryption="plain").replace(Intervened, action="read")
    assert told.judged().why == "the attack has acted on nothing"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"acted": False}, "the attack has acted on nothing"),
        ({"problem": "no account"}, "no account"),
        ({"how": "lab-error"}, "the run broke off"),
        ({"began": 1e9}, "nothing was sent"),
    ],
)
def test_what_was_not_judged_says_why(change, why):
    told = Told("replay", acted=change.get("acted", True))
    told.trial.problem, told.trial.began = change.get("problem", ""), change.get("began", 1.0)
    result = told.judged(how=change.get("how", "finished"))
    assert result.outcome is CellOutcome.UNKNOWN and why in result.why


def test_the_attack_must_have_acted_on_these_people():
    told = Told("replay")
    told.replace(Intervened, sender="carol@island.test/x", receiver="dave@home.test")
    assert told.judged().why == "the attack has acted on nothing"


def test_without_an_attack_it_is_read_as_it_was_sent():
    assert Told("none").judged().text == "impossible"
    assert Told("none").replace(Decrypted, matches=False).judged().text.startswith("check")
