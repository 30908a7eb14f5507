"""A user of an encrypted load: a real client with one device and keys of its own.

Keys are made at each login and live as long as the person. A load that was killed leaves a device in the list of an
account; the next login takes it out, so that nobody encrypts to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from lab.clients.device import ClientDevice
from lab.errors import LabError, PeerError
from lab.load.model.spec import Endpoint, Load

#: Seconds for a login with its keys: a server that serves hundreds of others at that moment takes several.
PATIENCE = 60.0

_OMEMO = "eu.siacs.conversations.axolotl"  # XEP-0384 version 0.3

#: `hear(person, event)`: an event of the agent protocol.
Hear = Callable[["Person", dict[str, Any]], None]


class Person:
    """`number` is the one in the load, of all workers."""

    def __init__(self, user: str, number: int, endpoint: Endpoint, load: Load, hear: Hear) -> None:
        self.number, self.endpoint, self.jid = number, endpoint, f"{user}@{endpoint.domain}"
        self.online = False
        self.ready = asyncio.Event()  # others can encrypt to it; it stays so
        self._load = load
        self.device = ClientDevice(self.jid, lambda event: hear(self, event))

    async def connect(self) -> None:
        """Log in; returns once others can encrypt to this device, and to no other of the account. Raises PeerError."""
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self.device.connect(
                    jid=self.jid,
                    password=self._load.password,
                    resource="omemo",
                    host=self.endpoint.host,
                    port=self.endpoint.port,
                    authority=self._load.authority,
                    encryption="omemo",
                )
                await self._alone(answer["omemo_device"])
        except TimeoutError as error:
            raise PeerError(f"{self.jid} was not online after {PATIENCE:g} s: {self.device.step}") from error
        self.online = True
        self.ready.set()

    async def _alone(self, own: int) -> None:
        """Take devices of earlier loads out of the account's list."""
        if (await self.device.devices(of=self.jid))["ids"] == [own]:
            return
        await self.device.iq(
            xml="<iq type='set'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"
            f"<publish node='{_OMEMO}.devicelist'><item id='current'>"
            f"<list xmlns='{_OMEMO}'><device id='{own}'/></list></item></publish></pubsub></iq>"
        )
        left = (await self.device.devices(of=self.jid))["ids"]
        if left != [own]:
            raise PeerError(f"{self.jid} still has devices of another load in its list: {left}")

    async def send(self, to: str, text: str, identity: str, *, encryption: str | None = None) -> None:
        """Send a message, encrypted unless said otherwise. Raises LabError."""
        await self.device.send(to=to, body=text, message=identity, encryption=encryption)

    async def leave(self) -> None:
        """Log out."""
        self.online = False
        with suppress(LabError):  # the stream may be gone already
            await self.device.disconnect()

    def ask(self) -> None:
        """Nothing: these clients ask by themselves what the server has."""
