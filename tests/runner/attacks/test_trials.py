"""What people of a cell do: who decides compares fingerprints first; what goes wrong with one is said of that one."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.errors import LabError, NotReceived, PeerError
from lab.federation import Federation, Person
from lab.runner.attacks.cells import Cell, get_kind
from lab.runner.attacks.trials import AttackTrial, _guarded, _prepare, _write


class Sender:
    """Refuses to send while it trusts no key, as a device whose trust is undecided."""

    def __init__(self, compared: str) -> None:
        self.compared = compared
        self.trusted: list[str] = []
        self.sent: list[str] = []

    async def send(self, to: object, text: str, *, receipt: bool) -> Any:
        assert receipt
        if not self.trusted:
            raise PeerError("not sent: nobody has decided")
        self.sent.append(text)
        return f"message {text}"

    async def compare_fingerprint(self, other: object) -> str:
        return self.compared

    async def fingerprints(self, of: object) -> dict[int, str]:
        return {1: "ab", 2: "cd"}

    async def set_trust(self, other: object, fingerprint: str, level: str) -> None:
        assert level == "trusted"
        self.trusted.append(fingerprint)


def trial(sender: Sender, trust: str) -> AttackTrial:
    people = cast("tuple[Person, Person]", (sender, object()))
    return AttackTrial(Cell("replay", "omemo", trust), get_kind("replay"), "a", "b", people=people)


@pytest.mark.parametrize(
    ("trust", "compared", "trusted", "sent"),
    [
        ("undecided", "match", ["ab", "cd"], ["hi"]),
        ("undecided", "mismatch", [], []),
        ("undecided", "none", [], []),
        ("blind", "match", [], []),  # who need not decide does not: a refusal is one
    ],
)
async def test_keys_are_trusted_only_where_they_match(
    trust: str, compared: str, trusted: list[str], sent: list[str]
) -> None:
    sender = Sender(compared)
    message = await _write(trial(sender, trust), "hi")
    assert (sender.trusted, sender.sent, message is not None) == (trusted, sent, bool(sent))


async def test_what_goes_wrong_with_one_trial_is_said_of_that_one() -> None:
    async def fail(error: Exception) -> None:
        raise error

    one = trial(Sender("match"), "blind")
    await _guarded(one, fail(PeerError("no account")))
    assert one.problem == "no account"
    with pytest.raises(ZeroDivisionError):  # a mistake of the lab's own ends the run
        await _guarded(one, fail(ZeroDivisionError()))
    assert issubclass(PeerError, LabError)


@pytest.mark.parametrize(("acknowledged", "problem"), [(True, ""), (False, "before the attack a receipt was missing")])
async def test_an_attack_begins_only_after_the_receipt_of_the_message_before_it(
    acknowledged: bool, problem: str
) -> None:
    """Injecting ends the streams: a receipt still under way would be lost by that, not by the attack."""
    waited: list[float] = []

    class Written:
        text = "hi"

        async def outcome(self) -> Any:
            return SimpleNamespace(deliveries=[self])

        async def acknowledged(self, within: float) -> str:
            waited.append(within)
            if not acknowledged:
                raise NotReceived("not acknowledged")
            return "receipt"

    class Talker:
        jid, trust = "a@a.test", "blind"

        async def send(self, to: object, text: str, *, receipt: bool) -> Written:
            return Written()

    class Server:
        async def person(self, *_: object, **__: object) -> Talker:
            return Talker()

    federation = SimpleNamespace(server=lambda name: Server(), secret=lambda: "hi")
    one = trial(Sender("match"), "blind")
    await _prepare(cast("Federation", federation), one)
    assert (len(waited), one.problem) == (1, problem)
