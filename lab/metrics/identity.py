"""Which message an event is about: its sender, its receiver and its id together say so.

An id is the sender's own choice (RFC 6120 section 8.1.3): two people may use the same one. So of all messages with the
id of an event, the one is meant whose sender and receiver fit best; a message that fits in neither is another one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from lab.history.events import Sent

# How well an address of an event fits to one of a message.
_EXACT, _SAME_ACCOUNT, _RELATED, _OTHER = 3, 2, 1, 0


class Identities:
    """Finds the message that an event is about."""

    def __init__(self, messages: Iterable[Sent] = ()) -> None:
        self._by_id: dict[str, list[Sent]] = defaultdict(list)
        for sent in messages:
            self.add(sent)

    def add(self, sent: Sent) -> None:
        """Take another message into account."""
        self._by_id[sent.message].append(sent)

    def with_id(self, message: str) -> Sent | None:
        """The first message of that id, None if there is none."""
        return next(iter(self._by_id.get(message, ())), None)

    def find(self, message: str | None, sender: str | None, receiver: str | None) -> Sent | None:
        """The message with this id that a stanza between these two addresses carries; None if nobody sent it.

        Of a message without an id both addresses must fit. Of several that fit alike, the first.
        """
        best, found = _OTHER, None
        for sent in self._by_id.get(message or "", ()):
            from_fit, to_fit = _sender_fit(sent, sender or ""), _receiver_fit(sent, receiver or "")
            enough = from_fit or to_fit > _RELATED if message else from_fit and to_fit
            fit = from_fit + to_fit if enough else _OTHER
            if fit > best:
                best, found = fit, sent
        return found


def _sender_fit(sent: Sent, sender: str) -> int:
    if sender in (sent.sender, sent.claimed) and sender:
        return _EXACT
    if _bare(sender) in (_bare(sent.sender), _bare(sent.claimed)) and sender:
        return _SAME_ACCOUNT
    # A room sends what was said in it under its own address (XEP-0045 sections 7.4 and 7.5).
    return _RELATED if _bare(sender) == _bare(sent.receiver) else _OTHER


def _receiver_fit(sent: Sent, receiver: str) -> int:
    if receiver == sent.receiver or receiver in sent.expected:
        return _EXACT
    if _bare(receiver) == _bare(sent.receiver):
        return _SAME_ACCOUNT
    # Carbon copies go to the sender's own devices (XEP-0280), what is said in a room to its occupants.
    own = _bare(receiver) == _bare(sent.sender)
    return _RELATED if own or sent.room else _OTHER


def _bare(jid: str) -> str:
    return jid.partition("/")[0]
