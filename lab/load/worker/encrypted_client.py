"""A user of an encrypted load: a real client with one device and keys of its own.

Keys are made at each login and live as long as the client. With OMEMO a load that was killed leaves a device in the
account's device list; the next login removes it, so that no client encrypts to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from lab.clients.device import ClientDevice
from lab.errors import LabError, PeerError
from lab.load.model.spec import Endpoint, Load

#: Seconds for a login with its keys: a server that serves hundreds of logins at the same time takes several.
LOGIN_TIMEOUT = 60.0

#: The node of an encryption's device lists, and a list with one device, as it is published (XEP-0384 section 4.3 of
#: version 0.3, section 5.3.1 of version 0.9).
_LISTS = {
    "omemo": (
        "eu.siacs.conversations.axolotl.devicelist",
        "<list xmlns='eu.siacs.conversations.axolotl'><device id='{}'/></list>",
    ),
    "omemo:2": ("urn:xmpp:omemo:2:devices", "<devices xmlns='urn:xmpp:omemo:2'><device id='{}'/></devices>"),
}

#: `on_event(client, event)`: an event of the agent protocol.
OnEvent = Callable[["EncryptedClient", dict[str, Any]], None]


class EncryptedClient:
    """`number` is the user's number in the load, counted over all workers."""

    def __init__(self, user: str, number: int, endpoint: Endpoint, load: Load, on_event: OnEvent) -> None:
        self.number, self.endpoint, self.jid = number, endpoint, f"{user}@{endpoint.domain}"
        self.online = False
        self.ready = asyncio.Event()  # set once others can encrypt to it; never cleared
        self._load = load
        self.device = ClientDevice(self.jid, lambda event: on_event(self, event))

    async def connect(self) -> None:
        """Log in; returns once others can encrypt to this device, and to no other of the account. Raises PeerError."""
        try:
            async with asyncio.timeout(LOGIN_TIMEOUT):
                answer = await self.device.connect(
                    jid=self.jid,
                    password=self._load.password,
                    resource="load",
                    host=self.endpoint.host,
                    port=self.endpoint.port,
                    authority=self.endpoint.trusted or self._load.authority,
                    encryption=self._load.encryption,
                    libraries=self._load.libraries or None,
                )
                if self._load.encryption in _LISTS:
                    await self._remove_other_devices(answer["omemo_device"])
        except TimeoutError as error:
            raise PeerError(f"{self.jid} was not online after {LOGIN_TIMEOUT:g} s: {self.device.step}") from error
        self.online = True
        self.ready.set()

    async def _remove_other_devices(self, own: int) -> None:
        """Remove devices of earlier loads from the account's device list."""
        if (await self.device.devices(of=self.jid))["ids"] == [own]:
            return
        node, listed = _LISTS[self._load.encryption]
        await self.device.iq(
            xml="<iq type='set'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"
            f"<publish node='{node}'><item id='current'>{listed.format(own)}</item></publish></pubsub></iq>"
        )
        left = (await self.device.devices(of=self.jid))["ids"]
        if left != [own]:
            raise PeerError(f"{self.jid} still has devices of another load in its list: {left}")

    async def send(self, to: str, text: str, identity: str, *, encryption: str | None = None) -> None:
        """Send a message, encrypted unless `encryption` is "plain". Raises LabError."""
        await self.device.send(to=to, body=text, message=identity, encryption=encryption)

    async def disconnect(self) -> None:
        """Log out."""
        self.online = False
        with suppress(LabError):  # the stream may be closed already
            await self.device.disconnect()
