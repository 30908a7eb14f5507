"""Requests for the roster, and changes of it (RFC 6121 section 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from lab.load.client import stanzas
from lab.load.client.session import Session
from lab.load.client.xml_stream import Element
from lab.load.workload.actions import KindCode, draw_without_receiver
from lab.load.workload.requests import PendingRequests, RequestKind


class RosterRequests(RequestKind):
    """Requests the roster, and every second time of a user gives a contact another name.

    A change (route "roster-set") has ended when its result and its push were received, in any order.
    """

    def __init__(self, requests: PendingRequests, contacts: Callable[[int], list[str]]) -> None:
        super().__init__(requests, contacts)
        self._uses: Counter[int] = Counter()  # by user
        self._renames: dict[str, int] = {}  # by request, whose id is also the new name: steps that are missing

    def send(self, session: Session, intended: int, size: int) -> str:
        """Request the roster or rename a contact."""
        contacts = self.contacts(session.number)
        self._uses[session.number] += 1
        if self._uses[session.number] % 2 or not contacts:
            identity = self.requests.register("roster", session.number, intended, on_result=self._on_roster)
            session.send(stanzas.build_roster_request(identity.encode()))
            return identity
        identity = self.requests.register("roster-set", session.number, intended, on_result=self._on_renamed)
        self._renames[identity] = 2
        contact = contacts[self._uses[session.number] // 2 % len(contacts)]
        session.send(stanzas.build_roster_rename(identity.encode(), contact, identity))
        return identity

    def on_push(self, session: Session, element: Element) -> None:
        """A roster push (RFC 6121 section 2.1.6)."""
        for item in element.walk():
            if item.name == "item" and item.attributes.get("name") in self._renames:
                self._on_step(session, item.attributes["name"])

    def on_new_session(self, user: int) -> None:
        """The server pushes no changes to a session that has not requested the roster."""
        self._uses[user] = 0

    def _on_roster(self, session: Session, identity: str, element: Element) -> None:
        found = {item.attributes.get("jid") for item in element.walk() if item.name == "item"}
        right = found == {*self.contacts(session.number)}
        self.requests.end(session.number, identity, "" if right else "wrong-roster")

    def _on_renamed(self, session: Session, identity: str, element: Element) -> None:
        self._on_step(session, identity)

    def _on_step(self, session: Session, identity: str) -> None:
        left = self._renames.pop(identity, 0) - 1
        if left > 0:
            self._renames[identity] = left
        elif left == 0:
            self.requests.end(session.number, identity)


KIND = KindCode(draw_without_receiver, RosterRequests)
