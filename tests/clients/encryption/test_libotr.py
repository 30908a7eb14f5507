"""Two endpoints of libotr, with what they send carried from one to the other."""

import pytest

from lab.clients.encryption import libotr
from lab.clients.encryption.libotr import V2, V3, OtrClient, OtrResult
from lab.declarations.encryptions.otr import DECLARATION
from lab.errors import MissingError, PeerError, UserError

ALICE, BOB = "alice@a.test/pc", "bob@b.test/phone"


class Wire:
    """Carries texts between endpoints, and keeps them and what became of each."""

    def __init__(self, **endpoints: OtrClient) -> None:
        self.endpoints = {ALICE: endpoints["alice"], BOB: endpoints["bob"]}
        self.texts: list[str] = []
        self.outcomes: list[OtrResult] = []

    def carry(self, sender: str, texts: list[tuple[str, str]]) -> None:
        waiting = [(sender, *one) for one in texts]
        while waiting:
            sender, to, text = waiting.pop(0)
            self.texts.append(text)
            outcome = self.endpoints[to].receive(sender, text)
            self.outcomes.append(outcome)
            waiting += [(to, *one) for one in outcome.texts]

    def bodies(self) -> list[str]:
        return [one.body for one in self.outcomes if one.body is not None]

    def checks(self) -> list[tuple[str, str]]:
        return [check for one in self.outcomes for check in one.checks]


@pytest.fixture
def make(keys, library):
    def endpoint(name: str, **fields) -> OtrClient:
        account = f"{name}@{name[0]}.test"
        return OtrClient(account, keys(name, account), library, **fields)

    return endpoint


@pytest.fixture
def pair(make):
    """Alice and Bob, in a session that Alice offered."""
    alice, bob = make("alice"), make("bob")
    wire = Wire(alice=alice, bob=bob)
    wire.carry(ALICE, [(BOB, alice.build_offer())])
    return alice, bob, wire


def test_a_session_begins_with_a_key_exchange_and_is_readable_to_both_alone(pair):
    alice, bob, wire = pair
    assert (alice.get_state(BOB), bob.get_state(ALICE), alice.get_version(BOB)) == ("encrypted", "encrypted", 3)
    assert alice.find_key(BOB).fingerprint == bob.fingerprint != alice.fingerprint == bob.find_key(ALICE).fingerprint
    assert all(not DECLARATION.has_text(None, text) for text in wire.texts), "nobody has written anything yet"
    wire.carry(ALICE, alice.encrypt(BOB, "grüß dich").texts)
    wire.carry(BOB, bob.encrypt(ALICE, "and you").texts)
    assert wire.bodies() == ["grüß dich", "and you"]
    assert DECLARATION.has_text(None, wire.texts[-1]) and not any("and you" in text for text in wire.texts)


@pytest.mark.parametrize(("theirs", "version"), [(V2, 2), (V3, 3), (0, 0)])
def test_the_version_is_the_highest_that_both_speak(make, theirs, version):
    alice, bob = make("alice"), make("bob", versions=theirs)
    wire = Wire(alice=alice, bob=bob)
    wire.carry(ALICE, [(BOB, alice.build_offer())])
    assert alice.get_version(BOB) == version
    if not version:
        with pytest.raises(PeerError, match="not sent: there is no OTR session"):
            alice.encrypt(BOB, "secret")
        return
    wire.carry(ALICE, alice.encrypt(BOB, "secret").texts)
    assert wire.bodies() == ["secret"] and DECLARATION.has_text(None, wire.texts[-1])


@pytest.mark.parametrize(("answer", "result"), [("blue", "match"), ("red", "mismatch"), (None, "aborted")])
def test_a_shared_secret_is_checked(pair, answer, result):
    alice, bob, wire = pair
    wire.carry(ALICE, alice.ask(BOB, "blue", "which colour?").texts)
    assert wire.checks() == [(ALICE, "asked")]
    wire.carry(BOB, (bob.abort(ALICE) if answer is None else bob.answer(ALICE, answer)).texts)
    assert (BOB, result) in wire.checks()
    assert (alice.find_key(BOB).trust == "smp") is (result == "match")
    assert all(not DECLARATION.has_text(None, text) for text in wire.texts)


@pytest.mark.parametrize("versions", [V2, V3])
def test_a_long_message_is_sent_in_pieces(make, versions):
    alice, bob = make("alice"), make("bob", versions=versions)
    wire = Wire(alice=alice, bob=bob)
    wire.carry(ALICE, [(BOB, alice.build_offer())])
    pieces = [text for _, text in alice.encrypt(BOB, 100_000 * "x").texts]
    assert len(pieces) > 1 and all(len(one) <= libotr.LONGEST_PIECE for one in pieces)
    assert [DECLARATION.has_text(None, one) for one in pieces] == [True, *[False] * (len(pieces) - 1)]
    wire.carry(ALICE, [(BOB, one) for one in pieces])
    assert wire.bodies() == [100_000 * "x"]


def test_who_is_told_of_the_end_sends_nothing_any_more(pair):
    alice, bob, wire = pair
    wire.carry(BOB, bob.end(ALICE).texts)
    assert wire.outcomes[-1].ended == [BOB]
    assert (alice.get_state(BOB), bob.get_state(ALICE)) == ("finished", "plaintext")
    with pytest.raises(PeerError, match="not sent"):
        alice.encrypt(BOB, "secret")


def test_what_is_encrypted_for_a_session_of_the_past_or_changed_or_repeated_cannot_be_read(pair, make):
    alice, bob, wire = pair
    ((_, text),) = alice.encrypt(BOB, "one").texts
    assert bob.receive(ALICE, text).body == "one"
    assert bob.receive(ALICE, text).body is None, "repeated"
    ((_, text),) = alice.encrypt(BOB, "two").texts
    changed = text[:100] + ("A" if text[100] != "A" else "B") + text[101:]
    assert (bob.receive(ALICE, changed).body, bool(bob.receive(ALICE, changed).problems)) == (None, True)
    assert bob.receive(ALICE, text).body == "two", "what was changed on the way has not harmed the session"
    restarted = make("bob")
    assert restarted.fingerprint == bob.fingerprint
    wire.endpoints[BOB] = restarted
    ((_, text),) = alice.encrypt(BOB, "three").texts
    assert restarted.receive(ALICE, text).body is None
    wire.carry(BOB, [(ALICE, restarted.build_offer())])
    wire.carry(ALICE, alice.encrypt(BOB, "four").texts)
    assert wire.bodies() == ["four"], "nothing is sent a second time"


def test_of_messages_in_another_order_the_overtaken_one_cannot_be_read(pair):
    """The counter of a key only goes up (OTR v3, "Data Exchange")."""
    alice, bob, _ = pair
    ((_, first),), ((_, second),) = (alice.encrypt(BOB, text).texts for text in ("first", "second"))
    assert bob.receive(ALICE, second).body == "second"
    overtaken = bob.receive(ALICE, first)
    assert (overtaken.body, bool(overtaken.problems)) == (None, True)


def test_trust_is_kept_with_the_keys(pair, make):
    alice, bob, _ = pair
    assert not alice.set_trust("bob@b.test", "00", "trusted")
    assert alice.set_trust("bob@b.test", bob.fingerprint, "trusted")
    (key,) = make("alice").list_keys("bob@b.test")
    assert (key.peer, key.fingerprint, key.trust) == (BOB, bob.fingerprint, "trusted")
    assert make("alice").list_keys("carol@b.test") == []


def test_only_the_owner_may_read_keys_and_another_accounts_are_refused(make, tmp_path, library):
    OtrClient("alice@a.test", tmp_path / "alice", library)
    assert (tmp_path / "alice").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "alice" / "otr.private_key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(UserError, match=r"has no key of bob@b\.test"):
        OtrClient("bob@b.test", tmp_path / "alice", library)
    (tmp_path / "alice" / "otr.private_key").write_text("(")
    with pytest.raises(UserError, match="cannot be read: delete the file"):
        make("alice")


def test_without_the_library_it_is_said_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(libotr, "LIBRARY", "libotr.so.99")
    with pytest.raises(MissingError, match="install Debian's package libotr5"):
        libotr.load.__wrapped__()
    with pytest.raises(MissingError, match="cannot be loaded"):
        libotr.load.__wrapped__(str(tmp_path))
