"""Requests for a page of the message archive (XEP-0313)."""

from __future__ import annotations

from lab.load.client import stanzas
from lab.load.client.session import Session
from lab.load.client.xml_stream import Element
from lab.load.workload.actions import KindCode, draw_without_receiver
from lab.load.workload.requests import RequestKind

#: Messages of one page: as many as clients request when they open a conversation.
PAGE = 20


class ArchiveRequests(RequestKind):
    """Requests the last page."""

    def send(self, session: Session, intended: int, size: int) -> str:
        """Request the last page."""
        identity = self.requests.register("archive", session.number, intended, on_result=self._on_result)
        session.send(stanzas.build_archive_request(identity.encode(), PAGE))
        return identity

    def _on_result(self, session: Session, identity: str, element: Element) -> None:
        """`first` is the id of a page's first message (XEP-0059 section 2.6)."""
        complete = any(child.name == "first" for child in element.walk())
        self.requests.end(session.number, identity, "" if complete else "nothing-found")


KIND = KindCode(draw_without_receiver, ArchiveRequests)
