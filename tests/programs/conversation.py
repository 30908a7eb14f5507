"""Somebody who uses a client program, and a simulated person on another server; each sees the other's presence."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lab.errors import PeerError
from lab.federation import Federation
from lab.federation.people import Person
from lab.history.events import ServerSaw
from lab.history.reader import read
from lab.history.recorder import Recorder
from lab.lifecycle.lab import Lab
from tests.programs.terminal import DEADLINE, XMPPLAB

_POLL = 0.1


class Conversation:
    """`user` has an account and no simulated device any more; `peer` is online, with an encryption."""

    def __init__(self, federation: Federation, user: Person, peer: Person, events: list[dict[str, Any]]) -> None:
        self.federation, self.user, self.peer, self._events = federation, user, peer, events
        self.private: list[str] = []  # texts that nobody but the two may read

    def client(self, program: str, folder: Path, *arguments: str) -> list[str]:
        """The command that opens a program as `user`, with its home in the new folder."""
        lab = self.federation.lab.name
        word = f"{self.user.name}@{self.user.server.name}"
        done = subprocess.run(
            [*XMPPLAB, "profile", program, word, str(folder), "--name", lab],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        more = ["--", *arguments] if arguments else []
        return [*XMPPLAB, "client", program, "--as", word, "--profile", str(folder), "--name", lab, *more]

    async def decrypted(self, text: str, encryption: str, within: float = DEADLINE) -> None:
        """Return once the simulated person has decrypted a message with this text, which no server may read."""
        self.private.append(text)
        await self._until(
            lambda event: (
                event["event"] == "decrypted"
                and (event["body"], event["encryption"]) == (text, encryption)
                and str(event["from"]).startswith(f"{self.user.jid}/")
            ),
            f"{text!r}, {encryption}",
            within,
        )

    async def received(self, text: str, within: float = DEADLINE) -> None:
        """Return once the simulated person has received a message with this text, in the clear."""
        await self._until(lambda event: event["event"] == "delivered" and event["body"] == text, repr(text), within)

    async def online(self, resource: str, within: float = DEADLINE) -> None:
        """Return once the program has logged in with this resource, and the simulated person sees its presence."""
        client = f"{self.user.jid}/{resource}"
        await self.peer.device.received(
            lambda one: (one.name, one.sender, one.type) == ("presence", client, None), within
        )

    async def keys_of_user(self, count: int = 1, within: float = DEADLINE) -> list[int]:
        """The OMEMO devices that the program publishes, once there are so many."""
        until = time.monotonic() + within
        while len(found := await self.peer.device.published_devices(self.user)) < count:
            assert time.monotonic() < until, f"{self.user.jid} publishes {found}"
            await asyncio.sleep(_POLL)
        return found

    async def write_encrypted(self, text: str, within: float = DEADLINE) -> None:
        """Let the simulated person write, as soon as the program has published the bundle of its keys, too."""
        self.private.append(text)
        until = time.monotonic() + within
        while True:
            try:
                message = await self.peer.send(self.user, text)
            except PeerError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(1)
            else:
                assert message.encrypted_for or message.encryption == "otr"
                return

    async def _until(self, match: Any, what: str, within: float) -> None:
        until = time.monotonic() + within
        while not any(map(match, self._events)):
            assert time.monotonic() < until, f"no {what} in {self._events[-8:]}"
            await asyncio.sleep(_POLL)


@asynccontextmanager
async def converse(
    lab: Lab, folder: Path, encryption: str, user: str, peer: str, *, device_list: bool = False
) -> AsyncIterator[Conversation]:
    """Two people on these servers, by name. With `device_list` the user's account has an OMEMO list, which is empty."""
    events: list[dict[str, Any]] = []
    with Recorder(folder / "history.jsonl") as recorder:
        async with Federation(lab, recorder) as federation:
            handle = federation.context.on_event
            assert handle is not None

            def hear(data: dict[str, Any]) -> None:
                events.append(data)
                handle(data)

            federation.context.on_event = hear
            one = await federation.server(user).person("alice")
            other = await federation.server(peer).person("bob", encryption=encryption)
            await federation.befriend(one, other)
            if device_list:
                await one.device.iq(_EMPTY_LIST)
            await one.disconnect()
            yield (talk := Conversation(federation, one, other, events))
    check_secrecy(folder / "history.jsonl", talk.private)


def check_secrecy(history: Path, private: list[str]) -> None:
    """Fail if a server had one of these texts in the clear, or if none had anything encrypted in their place."""
    seen = [one for one in read(history) if isinstance(one, ServerSaw)]
    assert not private or any(one.encryption for one in seen), "no server reported anything that was encrypted"
    clear = [one for one in seen for text in private if text in (one.stanza or "")]
    assert not clear, f"in the clear at {clear[0].server}: {clear[0].stanza}"


_EMPTY_LIST = """<iq type="set" id="list"><pubsub xmlns="http://jabber.org/protocol/pubsub">
<publish node="eu.siacs.conversations.axolotl.devicelist"><item id="current">
<list xmlns="eu.siacs.conversations.axolotl"/></item></publish></pubsub></iq>"""
