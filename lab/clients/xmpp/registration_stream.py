"""A stream on which an account is registered in band (XEP-0077): encrypted, and not authenticated."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

from lab.clients.xmpp.client_stream import ClientStream

REGISTER = "jabber:iq:register"
PARS = "urn:xmpp:pars:0"


class RegistrationStream(ClientStream):
    """As a client's, but open once TLS is up: it asks for no login."""

    async def _handle_stream_features(self, features: Any) -> bool | None:
        if "starttls" in features["features"]:
            return await super()._handle_stream_features(features)
        self.event("session_start")
        return True

    async def register(self, user: str, password: str, token: str | None) -> None:
        """Register an account, with a token where one is needed (XEP-0445). Raises Refused, with its condition."""
        domain = self.boundjid.domain
        if token is not None:
            await self.ask("set", ET.Element(f"{{{PARS}}}preauth", {"token": token}), domain)
        query = ET.Element(f"{{{REGISTER}}}query")
        for name, value in (("username", user), ("password", password)):
            ET.SubElement(query, f"{{{REGISTER}}}{name}").text = value
        await self.ask("set", query, domain)
