"""Uploads of files (XEP-0363): a request for a slot, then the file by HTTP."""

from __future__ import annotations

from lab.load.client import stanzas
from lab.load.client.http_upload import upload
from lab.load.client.session import Session
from lab.load.client.xml_stream import Element
from lab.load.workload.actions import KindCode, draw_without_receiver
from lab.load.workload.requests import RequestKind


class UploadRequests(RequestKind):
    """Uploads files of a given size."""

    def send(self, session: Session, intended: int, size: int) -> str:
        """Request a slot for a file of `size` bytes, and upload the file once there is one."""

        def on_slot(session: Session, identity: str, slot: Element) -> None:
            self.requests.start_task(session, identity, self._upload(session, identity, slot, size))

        identity = self.requests.register("upload", session.number, intended, on_result=on_slot)
        service = f"upload.{session.endpoint.domain}"
        session.send(stanzas.build_upload_slot_request(identity.encode(), service, f"{identity}.bin", size))
        return identity

    async def _upload(self, session: Session, identity: str, slot: Element, size: int) -> None:
        await upload(slot, session.endpoint.host, session.tls, bytes(size))
        self.requests.end(session.number, identity)


KIND = KindCode(draw_without_receiver, UploadRequests)
