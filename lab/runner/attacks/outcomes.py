"""What a run says of the trials in it: whether an attack succeeded, and who noticed it. Pure: from the record alone.

- The sender notices what their device refuses to send, what is returned, and a receipt that they asked for and miss.
- The receiver notices what their device cannot decrypt, and what it shows as plain text in a conversation that is not.
- Where neither does, a check of the lab may: it sees both ends, as people do who ask each other. That a secret could be
  read is known from the attacker alone, and is no such check.
"""

from __future__ import annotations

from collections.abc import Iterator

from lab.checks import Judgement
from lab.checks.verdict import Finding, Value
from lab.faults.carbon_forgery import FORGED
from lab.history.events import CanaryFound, Delivered, Intervened, NotSent, ReceiptReceived, Sent
from lab.metrics.jids import strip_resource
from lab.metrics.record import RunRecord
from lab.runner.attacks.cells import CONTROL, CellOutcome, CellResult
from lab.runner.attacks.trials import AttackTrial

_SUCCEEDED = "the attack succeeded"


def judge_trial(record: RunRecord, judgement: Judgement, trial: AttackTrial, folder: str = "") -> CellResult:
    """The result of one trial."""
    sent = [one for one in record.of(Sent) if _is_of(one, trial)]
    messages = tuple(one.message for one in sent)

    def result(
        outcome: CellOutcome, why: str = "", by: tuple[str, ...] = (), checks: tuple[str, ...] = ()
    ) -> CellResult:
        return CellResult(trial.cell, outcome, by, why, checks, messages, folder)

    if why := _find_problem(record, trial, sent):
        return result(CellOutcome.UNKNOWN, why)
    last = sent[-trial.kind.messages :]
    noticed: dict[str, str] = {}
    for one in last:
        for who, how in (*_sender(record, one), *_receiver(record, one, trial)):
            noticed.setdefault(who, how)
    findings = [finding for one in last for finding in _findings(judgement, one.message)]
    checks = tuple(each.check for each in judgement.verdicts if any(one in each.findings for one in findings))
    if noticed:
        by = tuple(sorted(noticed, reverse=True))
        return result(CellOutcome.NOTICED, "; ".join(noticed[who] for who in by), by, checks)
    if checks:
        return result(CellOutcome.NOTICED, findings[0].sentence, tuple(f"check {name}" for name in checks), checks)
    if _has_succeeded(record, last, trial):
        return result(CellOutcome.UNNOTICED, _SUCCEEDED)
    if all(_shown(record, one, trial) == [True] * trial.kind.receiver_devices for one in last):
        return result(CellOutcome.IMPOSSIBLE, "it is read as it was sent")
    return result(CellOutcome.UNKNOWN, "whether it was read as it was sent is not known")


def _is_of(sent: Sent, trial: AttackTrial) -> bool:
    return strip_resource(sent.sender) == trial.sender and not sent.marker and sent.at >= trial.began > 0


def _find_problem(record: RunRecord, trial: AttackTrial, sent: list[Sent]) -> str:
    """Why nothing can be said of a trial, "" if something can."""
    ended = record.ended
    if trial.problem:
        return trial.problem
    if ended is None or ended.how != "finished":
        return f"the run broke off: {ended.detail if ended else 'its history has no end'}"
    if not sent:
        return "nothing was sent"
    people = {trial.sender, trial.receiver}
    if trial.kind is not CONTROL and not any(
        one.attack in trial.kind.faults and people & {strip_resource(one.sender), strip_resource(one.receiver)}
        for one in record.of(Intervened)
        if one.at >= trial.began and one.action != "read"
    ):
        return "the attack has acted on nothing"
    return ""


def _sender(record: RunRecord, sent: Sent) -> Iterator[tuple[str, str]]:
    """That the sender notices it, and how."""
    for one in record.of(NotSent):
        if one.message == sent.message:
            yield "sender", one.reason
            return
    if bounces := record.bounces.get(sent):
        yield "sender", f"it is returned: {bounces[0].condition}"
    elif not any(one.message == sent.message and one.device == sent.sender for one in record.of(ReceiptReceived)):
        yield "sender", "the receipt is missing"


def _receiver(record: RunRecord, sent: Sent, trial: AttackTrial) -> Iterator[tuple[str, str]]:
    """That the receiver notices it, and how."""
    if failed := [one for one in record.not_decrypted.get(sent, ()) if strip_resource(one.device) == trial.receiver]:
        yield "receiver", f"it cannot be decrypted: {failed[-1].reason}"
    elif _plain(record, sent, trial):
        yield "receiver", "a text in the clear is shown"


def _plain(record: RunRecord, sent: Sent, trial: AttackTrial) -> bool:
    """Whether a message that was sent encrypted is shown as a text in the clear."""
    return sent.encryption != "plain" and any(
        one.matches is not None
        for one in record.deliveries.get(sent, ())
        if strip_resource(one.device) == trial.receiver
    )


def _shown(record: RunRecord, sent: Sent, trial: AttackTrial) -> list[bool]:
    """Each time that the receiver was shown a text: whether it is the one that was sent."""
    texts = [*record.deliveries.get(sent, ()), *record.decrypted.get(sent, ())]
    return [one.matches for one in texts if one.matches is not None and strip_resource(one.device) == trial.receiver]


def _has_succeeded(record: RunRecord, last: list[Sent], trial: AttackTrial) -> bool:
    name, sent = trial.kind.name, last[-1]
    if name == "withhold-device-list":
        return len(_shown(record, sent, trial)) < trial.kind.receiver_devices
    if name == "forge-carbon":
        return any(one.message == sent.message + FORGED for one in record.of(Delivered))
    if name == "reorder":
        first, second = (record.deliveries.get(one, ()) for one in last)
        return bool(first and second and second[0].at < first[0].at)
    if name in ("swap-bundle", "phantom-device"):
        return any(one.place == "attack" and one.message == sent.message for one in record.of(CanaryFound))
    if name == "downgrade-older":
        return _is_older(record, sent)
    if name in ("drop-stanzas", "stale-prekey"):
        return not _shown(record, sent, trial)
    if name == "replay":
        return len(_shown(record, sent, trial)) > 1
    return name in ("strip-encryption", "downgrade-plain") and _plain(record, sent, trial)


def _is_older(record: RunRecord, sent: Sent) -> bool:
    """Whether the older version was used: 0.3 of OMEMO, version 2 of OTR."""
    if any(one.encryption == "omemo" for one in record.decrypted.get(sent, ())):
        return True
    return any("?OTR:AAID" in (one.stanza or "") for one in record.seen.get(sent, ()))


def _findings(judgement: Judgement, message: str) -> list[Finding]:
    """What checks find wrong with a message, or the copy that was forged with it; but for what only attackers know."""
    return [
        one
        for verdict in judgement.verdicts
        if verdict.check != "secrecy"
        for one in verdict.findings
        if one.value is Value.FAILED and one.message in (message, message + FORGED)
    ]
