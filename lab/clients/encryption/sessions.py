"""OMEMO with several sessions per device, of which one is sent with.

When two people write first at the same time, each builds a session from the other's bundle, and each gets the other's
key exchange. python-omemo 2.1 keeps one session per device: a key exchange replaces it (`SessionManager.decrypt`). Both
then hold the session that the other has just thrown away, neither sends a key exchange any more, and nothing can be
decrypted until somebody builds a new one. Signal's rule, which OMEMO takes over with its sessions, is to keep what
is replaced: a message that the session in use cannot decrypt is tried with the older ones, and the one that can is the
one in use from then on (the Sesame algorithm, revision 2; libsignal's archived states). So no message is lost, and as
soon as two messages do not cross, both use the same session.

Rules:
- a replaced session is archived, the newest first, MOST of them per device;
- a key exchange that an archived session was built from brings that session back, it does not build a second one;
- the one-time key of a key exchange is kept until all that waited for the device has been read (XEP-0384 version 0.9
  section 6): two strangers may have taken the same one. The library hides such keys, and forgets hidden ones as soon as
  it stores its state. Those of a device that is killed in between stay in its bundle;
- a message that no session can decrypt changes nothing, and none is built anew in answer to it: a lab shows failures.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

import omemo
from omemo.message import KeyExchange, PlainKeyMaterial
from omemo.session import Initiation, Session
from omemo.types import DeviceInformation

from lab.clients.encryption.key_store import KeyStore

#: Sessions of one device that are kept beside the one in use. Two people who write at once make one or two; libsignal
#: keeps 40, for devices that are given a new key now and then.
MOST = 5

#: One-time keys in a bundle, as the library makes them.
PRE_KEYS = 100

#: What the library stores of a session, in every version under the same names (`store_session`).
_FIELDS = (
    "initiation", "key_exchange/identity_key", "key_exchange/ephemeral_key", "key_exchange/signed_pre_key",
    "key_exchange/signed_pre_key_id", "key_exchange/pre_key", "key_exchange/pre_key_id", "associated_data",
    "double_ratchet", "confirmed",
)  # fmt: skip
#: No two sessions have the same.
_EPHEMERAL = "key_exchange/ephemeral_key"
_ARCHIVE = "archived"

Fields = dict[str, Any]
Decrypted = tuple[bytes | None, DeviceInformation, PlainKeyMaterial]


class SessionArchive(omemo.Backend):
    """In front of the library's cryptography of a version of OMEMO: an archive of sessions in the same store."""

    _store: KeyStore
    _used: list[Session]  # of key exchanges whose one-time keys are kept

    def read_ephemeral_key(self, exchange: KeyExchange) -> bytes:
        """The ephemeral key of a key exchange of this version, which no two sessions share."""
        raise NotImplementedError

    async def store_session(self, session: Session) -> None:
        """As the library's; another session that was there is archived."""
        jid, device = session.bare_jid, session.device_id
        before = (await self._store.load(self._name(jid, device, _EPHEMERAL))).maybe(None)
        if before is not None and before != _text(self.read_ephemeral_key(session.key_exchange)):
            await self._put_archive(jid, device, [await self._in_use(jid, device), *await self._archived(jid, device)])
        await super().store_session(session)  # type: ignore[safe-super]  # the library's, which is behind this class

    async def hide_pre_key(self, session: Session) -> bool:
        """Keep the one-time key of a session's key exchange; False: the bundle has not changed."""
        self._used.append(session)
        return False

    @property
    def keeps_used_keys(self) -> bool:
        """Whether one-time keys are still there although they were used."""
        return bool(self._used)

    async def delete_hidden_pre_keys(self) -> None:
        """Delete the one-time keys that were kept, and make as many new ones."""
        while self._used:
            await self.delete_pre_key(self._used.pop())
        if missing := PRE_KEYS - await self.get_num_visible_pre_keys():
            await self.generate_pre_keys(missing)

    async def decrypt(self, manager: omemo.SessionManager, message: omemo.Message) -> Decrypted:
        """As the manager's, with every session that there is. Raises what it raises for the one in use."""
        archived = await self._archived(message.bare_jid, message.device_id)
        if archived and (exchange := await self._exchange(message)) is not None:
            key = _text(self.read_ephemeral_key(exchange))
            built = [one for one in archived if one["initiation"] == Initiation.PASSIVE.name and one[_EPHEMERAL] == key]
            if built:
                return await self._with(built, archived, manager, message)
            archived = []  # what none was built from builds a new one
        try:
            return await manager.decrypt(message)
        except omemo.DecryptionFailed:
            if not archived:
                raise
            return await self._with(archived, archived, manager, message)

    async def _with(
        self, some: Sequence[Fields], archived: Sequence[Fields], manager: omemo.SessionManager, message: omemo.Message
    ) -> Decrypted:
        """With some of the archived sessions in turn: the one that can is in use then, or all is as it was."""
        jid, device = message.bare_jid, message.device_id
        in_use, failed = await self._in_use(jid, device), None
        for one in some:
            await self._put(jid, device, one)
            await self._put_archive(jid, device, [in_use, *(other for other in archived if other is not one)])
            try:
                return await manager.decrypt(message)
            except omemo.DecryptionFailed as error:
                failed = error
        await self._put(jid, device, in_use)
        await self._put_archive(jid, device, archived)
        assert failed is not None
        raise failed

    async def _exchange(self, message: omemo.Message) -> KeyExchange | None:
        """The key exchange for this device in a message."""
        own = (await self._store.load("/own_device_id")).from_just()
        for material, exchange in message.keys:
            if material.bare_jid == self._store.account and material.device_id == own:
                return exchange
        return None

    # Whole sessions, as the library stores them

    async def _in_use(self, jid: str, device: int) -> Fields:
        return {name: (await self._store.load(self._name(jid, device, name))).from_just() for name in _FIELDS}

    async def _put(self, jid: str, device: int, fields: Fields) -> None:
        for name, value in fields.items():
            await self._store.store(self._name(jid, device, name), value)

    async def _archived(self, jid: str, device: int) -> list[Fields]:
        found: Any = (await self._store.load(self._name(jid, device, _ARCHIVE))).maybe([])
        return list(found)

    async def _put_archive(self, jid: str, device: int, sessions: Sequence[Fields]) -> None:
        await self._store.store(self._name(jid, device, _ARCHIVE), [*sessions[:MOST]])

    def _name(self, jid: str, device: int, what: str) -> str:
        return f"/{self.namespace}/{jid}/{device}/{what}"


def _text(key: bytes) -> str:
    """As the store has it."""
    return urlsafe_b64encode(key).decode("ascii")
