"""Integrity: what somebody reads is what was sent.

Each device that shows a text for a message shows the one that was sent: in the clear, or decrypted. Of a message that
was sent encrypted a readable text is another one, whatever it says: somebody took the encryption out of it.

What was sent is known of messages of the lab's own devices only. A file that a device fetched is what was uploaded: the
file, or of an encrypted one the ciphertext.
"""

from __future__ import annotations

from collections.abc import Iterator

from lab.checks.cause import describe_attacks
from lab.checks.trace import quote
from lab.checks.verdict import Finding, Value, Verdict, build_verdict, pluralize
from lab.history.events import FileFetched, FileUploaded, Sent
from lab.metrics.jids import strip_resource
from lab.metrics.record import RunRecord

NAME = "integrity"


def check(record: RunRecord) -> Verdict:
    """Compare what was read of each message with what was sent."""
    findings, judged = [], 0
    for _, sent in record.messages:
        shown = dict(_shown(record, sent))
        judged += bool(shown)
        findings += [_finding(record, sent, device) for device, right in shown.items() if not right]
    good = f"{pluralize(judged, 'message')} read as {'it was' if judged == 1 else 'they were'} sent."
    files = [(one, _is_as_uploaded(record, one)) for one in record.of(FileFetched)]
    if known := [right for _, right in files if right is not None]:
        good += f" {pluralize(len(known), 'file')} fetched as uploaded."
    findings += [_changed_file(record, one) for one, right in files if right is False]
    return build_verdict(
        NAME, judged + len(known), findings, good, "No device read a message of which it is known what was sent."
    )


def _shown(record: RunRecord, sent: Sent) -> Iterator[tuple[str, bool]]:
    """Each device that showed a text, and whether every text that it showed is the one that was sent."""
    texts = [(one.device, one.matches) for one in record.deliveries.get(sent, ())]
    texts += [(one.device, one.matches) for one in record.decrypted.get(sent, ())]
    for device in dict.fromkeys(device for device, _ in texts):
        known = [matches for other, matches in texts if other == device and matches is not None]
        if known:
            yield device, all(known)


def _is_as_uploaded(record: RunRecord, fetched: FileFetched) -> bool | None:
    """Whether a file is as it was uploaded to that URL; None where nobody of the lab's uploaded it."""
    uploaded = [one for one in record.of(FileUploaded) if one.url == fetched.url]
    return any(fetched.sha256 in (one.sha256, one.stored) for one in uploaded) if uploaded else None


def _changed_file(record: RunRecord, fetched: FileFetched) -> Finding:
    text = f"{fetched.device} fetched {fetched.url}, and it is not what was uploaded there."
    home = record.find_server(fetched.device)
    servers = () if home is None else (home.name,)
    return Finding(Value.FAILED, text, None, servers, "the host or somebody on the way changed it")


def _finding(record: RunRecord, sent: Sent, device: str) -> Finding:
    servers = record.path(sent)
    ends = f"from {strip_resource(sent.sender)} ({' - '.join(servers)}, {sent.encryption})"
    text = f"Message {sent.message} {ends}: {device} reads another text than was sent."
    cause = describe_attacks(record, sent) or "a server or a device changed it"
    return Finding(Value.FAILED, text, sent.message, servers, cause, "", quote(record.seen.get(sent, [])))
