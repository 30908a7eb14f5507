"""Messages to clients that are not the lab's: what their servers' feeds prove, and what stays unknown."""

from __future__ import annotations

import pytest

from lab.checks import delivery
from lab.checks.verdict import Value, Verdict
from lab.history.events import Sent, ServerSaw, ServerStreamClosed
from lab.metrics.record import RunRecord
from tests.checks.sample_history import SampleHistory

GUEST = "guest@home.test"
TO_GUEST = {"receiver": GUEST, "stream": "s", "encryption": "plain"}
UNKNOWN = "1 handed to clients that are not the lab's: what these made of them is not known."


def judge(*clients: str, closed: bool = False, server: str = "home") -> Verdict:
    """A message to a guest that the guest's server wrote to the streams of these clients."""
    history = SampleHistory()
    alice = history.device("alice", "island")
    bob = history.device("bob", "home")
    history.say(alice, bob)
    sent = history.add(
        Sent, message="g1", sender=alice, receiver=GUEST, stream="s", encryption="plain", expected=(GUEST,)
    )
    for place, direction, stream in (("island", "in", "c2s"), ("island", "out", "s2s"), ("home", "in", "s2s")):
        history.saw("g1", place, direction, stream, sent)
    for client in clients:
        history.saw("g1", server, "out", "c2s", sent, peer=client)
        if closed:
            history.add(ServerStreamClosed, server=server, stream="c2s", direction="in", peer=client, id="1", tls="",
                        authentication="")  # fmt: skip
    history.finish()
    return delivery.check(RunRecord(tuple(history.events), history.plan))


def test_what_its_server_wrote_to_its_client_is_delivered_and_more_is_not_known() -> None:
    verdict = judge(f"{GUEST}/laptop")
    assert verdict.value is Value.VALID
    assert verdict.sentence.endswith(
        "1 handed to clients that are not the lab's: what these made of them is not known."
    )


@pytest.mark.parametrize("client", [(), ("other@home.test/laptop",), ("bob@home.test/phone",)])
def test_what_was_written_to_no_client_of_its_own_is_unknown(client: tuple[str, ...]) -> None:
    verdict = judge(*client)
    assert verdict.value is Value.UNKNOWN
    assert f"to {GUEST}" in verdict.sentence and "whether it is lost is not known" in verdict.sentence


def test_only_its_own_server_hands_it_over() -> None:
    assert judge(f"{GUEST}/laptop", server="public").value is Value.UNKNOWN


def test_one_stream_gets_it_once_unless_it_was_closed_in_between() -> None:
    twice = (f"{GUEST}/laptop", f"{GUEST}/laptop")
    verdict = judge(*twice)
    assert verdict.value is Value.FAILED and f"was written 2 times to the stream of {GUEST}/laptop" in verdict.sentence
    assert judge(*twice, closed=True).value is Value.VALID
    assert judge(f"{GUEST}/laptop", f"{GUEST}/phone").value is Value.VALID


def test_a_stanza_error_to_it_is_no_delivery() -> None:
    history = SampleHistory()
    alice = history.device("alice", "island")
    sent = history.add(
        Sent, message="g1", sender=alice, receiver=GUEST, stream="s", encryption="plain", expected=(GUEST,)
    )
    history.saw("g1", "home", "out", "c2s", sent, peer=f"{GUEST}/laptop", type="error")
    record = RunRecord(tuple(history.finish().events), history.plan)
    assert record.handed_over(sent) == ()
    assert any(isinstance(event, ServerSaw) and event.type == "error" for event in record.events)
