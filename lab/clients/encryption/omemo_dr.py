"""OMEMO 0.3 by omemo-dr, Gajim's implementation, which shares no code with python-omemo.

- What goes over the stream, when device lists are fetched, and who is refused is as in lab.clients.encryption.omemo.
- Sessions that are replaced are kept by the library, forty for each device.
- A one-time key is forgotten with the message that used it, as in Gajim, also in a catch-up: of two strangers who took
  the same one the second is not read.
- There is no heartbeat: version 0.3 has none.
- A sender's device need not be on a list: its key exchange is enough.
- Device lists that are pushed are received and not needed: they are fetched before each message.
- The library is synchronous: a change of state is whole before anything else runs, and stored before anything leaves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from xml.etree import ElementTree as ET

from omemo_dr import exceptions
from omemo_dr.const import OMEMOTrust
from omemo_dr.session_manager import OMEMOSessionManager
from omemo_dr.structs import OMEMOBundle, OMEMOConfig
from omemo_dr.util.keyhelper import KeyHelper

from lab.clients.encryption import (
    DecryptedMessage,
    DeviceKey,
    Encryption,
    LeftOutDevice,
    NotForUs,
    SealedMessage,
    envelope,
    pep,
)
from lab.clients.encryption import omemo_dr_xml as xml_of
from lab.clients.encryption.omemo_dr_store import OmemoDrStore
from lab.clients.encryption.omemo_message import FALLBACK, build_empty, excuse_refusal, name_encryption
from lab.clients.xmpp.client_stream import ClientStream, Refused
from lab.clients.xmpp.stanzas import Incoming
from lab.errors import LabError, PeerError, UserError

# The library debugs with plaintext, and reports what is raised here as well.
logging.getLogger("omemo_dr").setLevel(logging.CRITICAL)

#: As Gajim has it; a device is never given up because it does not answer.
_CONFIG = OMEMOConfig(
    default_prekey_amount=100,
    min_prekey_amount=80,
    spk_archive_seconds=15 * 86400,
    spk_cycle_seconds=86400,
    unacknowledged_count=1_000_000,
)
#: Seconds between two fetches that show whether the server has what was published.
POLL_INTERVAL = 0.05

_TRUST = {
    OMEMOTrust.VERIFIED: "trusted",
    OMEMOTrust.BLIND: "blind",
    OMEMOTrust.UNDECIDED: "undecided",
    OMEMOTrust.UNTRUSTED: "distrusted",
}
_LEVELS = {word: trust for trust, word in _TRUST.items() if word != "blind"}


class OmemoDrStrategy(Encryption):
    """OMEMO 0.3 with omemo-dr, for one live stream of one device."""

    name = "omemo-dr"
    _stream: ClientStream
    _store: OmemoDrStore
    _manager: OMEMOSessionManager
    _changed: OMEMOBundle | None = None  # the own bundle as it is to be published
    _answers: set[tuple[str, int]] | None  # who gets an empty message after a catch-up; None: at once
    _unpublished = ""  # why the keys are not published, where they need not be

    # Opening and closing a stream

    def prepare(self, stream: ClientStream) -> None:
        """Load what is stored; announce that device lists are wanted (XEP-0163 section 4), as every client does."""
        self._stream, self._lock, self._answers = stream, asyncio.Lock(), set()
        stream.register_plugin("xep_0115")
        stream.plugin["xep_0030"].add_feature(f"{xml_of.DEVICE_LIST}+notify")
        blind = self.settings.trust == "blind"
        self._store = OmemoDrStore(stream.boundjid.bare, self.settings.folder, self.settings.memory, blind=blind)

    @property
    def _account(self) -> str:
        return str(self._stream.boundjid.bare)

    async def start(self) -> dict[str, Any]:
        """Make or load keys, publish bundle and device list."""
        self._manager = OMEMOSessionManager(self._account, self._store, _CONFIG)
        self._manager.register_signal("republish-bundle", self._on_changed)
        bundle = self._manager.get_bundle(xml_of.NAMESPACE)
        self._store.commit()
        device = self._manager.get_our_device()
        try:
            await pep.publish(self._stream, xml_of.BUNDLE.format(device), xml_of.write_bundle(bundle))
            if device not in (listed := await self._published(self._account)):
                await self._publish_list([*listed, device])
        except PeerError as error:
            self._unpublished = excuse_refusal(error, self.settings, self.name)
            return {}
        await self._stream.plugin["xep_0115"].update_caps(broadcast=False)
        return {"omemo_device": device, "fingerprint": self._manager.get_our_fingerprint()}

    def _on_changed(self, manager: OMEMOSessionManager, signal: str, bundle: OMEMOBundle) -> None:
        """The library's: a one-time key was used."""
        self._changed = bundle

    async def _publish_list(self, devices: list[int]) -> None:
        await pep.publish(self._stream, xml_of.DEVICE_LIST, xml_of.write_device_list(devices))

    async def ready(self) -> None:
        """Answer what was waiting, then fetch until the server has our list and our bundle."""
        if self._unpublished:
            return
        async with self._lock:
            await self._leave_catch_up()
        device = self._manager.get_our_device()
        while True:
            listed = device in await self._published(self._account)
            if listed and await self._fetch(self._account, device) is not None:
                return
            await asyncio.sleep(POLL_INTERVAL)

    @asynccontextmanager
    async def catching_up(self) -> AsyncIterator[None]:
        """One empty message for each session, at the end."""
        self._answers = set()
        try:
            yield
        finally:
            async with self._lock:
                await self._leave_catch_up()

    async def _leave_catch_up(self) -> None:
        waiting, self._answers = self._answers or set(), None
        await self._answer(waiting)

    async def _answer(self, devices: Iterable[tuple[str, int]]) -> None:
        """Complete sessions by empty messages (section 4.6), and publish the bundle without the keys that they used."""
        for person, device in sorted(devices):
            if (empty := self._manager.encrypt_key_transport(person, [device])) is not None:
                self._store.commit()
                build_empty(self._stream, xml_of.write_message(empty), person).send()
        if self._changed is not None:
            bundle, self._changed = self._changed, None
            node = xml_of.BUNDLE.format(bundle.device_id)
            await pep.publish(self._stream, node, xml_of.write_bundle(bundle))

    async def _try_to_answer(self, person: str, device: int) -> None:
        """The same for one that was just read: it is read, whatever becomes of the answer."""
        try:
            await self._answer([(person, device)])
        except PeerError as error:
            self.settings.trouble(f"{self.name}: the own bundle is not published again: {error}")

    # Messages

    async def seal(self, message: ET.Element, people: frozenset[str]) -> SealedMessage:
        """Encrypt the body for all published devices of these people and the own other ones."""
        text = envelope.read_text(envelope.find_content(message))
        if text is None:
            raise PeerError("not sent: OMEMO 0.3 encrypts a body, and the message has none")
        self._check_published()
        async with self._lock:
            devices = [
                (person, device)
                for person in sorted(people | {self._account})
                for device in await self._published(person)
                if device != self._manager.get_our_device()
            ]
            reasons: dict[tuple[str, int], LeftOutDevice] = {}
            for one in devices:
                if (left := await self._find_session(*one)) is not None:
                    reasons[one] = left
            self._check_trust(one for one in devices if one not in reasons)
            usable = [one for one in devices if one not in reasons]
            if missing := sorted(people - {person for person, _ in usable} - {self._account}):
                who = ", ".join(missing)
                raise PeerError(
                    f"not sent: {who} has no OMEMO device that can be encrypted to (this one uses {self.name})"
                )
            if not usable:
                raise PeerError("not sent: there is no other device that could read it")
            encrypted = self._encrypt(text, usable)
            self._store.commit()
        body = next(one for one in message if one.tag.endswith("}body"))
        body.text = FALLBACK
        message.append(xml_of.write_message(encrypted))
        name_encryption(message, xml_of.NAMESPACE)
        return SealedMessage([message], list(reasons.values()), sorted(usable))

    def _encrypt(self, text: str, devices: list[tuple[str, int]]) -> Any:
        """The message for these devices, which there are trusted sessions with: as the library encrypts for a room."""
        group = "to"
        for person in {person for person, _ in devices} | self._manager.get_group_members(group):
            self._manager.remove_group_member(group, person)
        for person in {person for person, _ in devices} - {self._account}:
            self._manager.add_group_member(group, person)
        for person in {person for person, _ in devices} | {self._account}:
            own = [self._manager.get_our_device()] if person == self._account else []
            self._manager.update_devicelist(person, own + [device for who, device in devices if who == person])
        only_own = all(person == self._account for person, _ in devices)
        made = self._manager.encrypt(self._account if only_own else group, text, groupchat=not only_own)
        if made is None or {*made.keys} != {device for _, device in devices}:
            raise PeerError("omemo-dr did not encrypt for each device")
        return made

    async def _find_session(self, person: str, device: int) -> LeftOutDevice | None:
        """Build a session if there is none, with a freshly fetched bundle; why it cannot be had."""
        try:
            if not self._store.contains_session(person, device):
                bundle = await self._fetch(person, device)
                if bundle is None:
                    return LeftOutDevice(person, device, "it has published no keys", published=False)
                self._build(person, bundle)
        except Refused as error:
            return LeftOutDevice(person, device, f"its keys cannot be fetched: {error}", published=None)
        except PeerError as error:
            return LeftOutDevice(person, device, str(error), published=True)
        if self._store.find_trust(person, self._store.find_fingerprint(person, device)) is OMEMOTrust.UNTRUSTED:
            return LeftOutDevice(person, device, "its key is distrusted", published=True, excluded=True)
        return None

    def _build(self, person: str, bundle: OMEMOBundle) -> None:
        try:
            self._manager.build_session(person, bundle)
        except Exception as error:
            raise PeerError(f"its keys cannot be used: {_describe(error)}") from error

    def _check_trust(self, devices: Iterable[tuple[str, int]]) -> None:
        """Raises PeerError where nobody has decided on a key."""
        found = [(person, self._store.find_fingerprint(person, device)) for person, device in devices]
        undecided = [one for one in found if self._store.find_trust(*one) is OMEMOTrust.UNDECIDED]
        if undecided:
            keys = ", ".join(" ".join(one) for one in undecided)
            raise PeerError(f"not sent: nobody has decided whether to trust {keys}; use set_trust")

    async def decrypt(self, incoming: Incoming, sender: str) -> DecryptedMessage | None:
        """Decrypt for this device."""
        element = incoming.xml.find(f"{{{xml_of.NAMESPACE}}}encrypted")
        if element is None:
            raise PeerError(f"encrypted with {incoming.encrypted}, which this device does not read")
        if not sender:
            raise PeerError(f"the room does not show who {incoming.sender} is")
        if self._unpublished:
            raise PeerError(self._unpublished)
        message = xml_of.read_message(element)
        async with self._lock:
            try:
                text, fingerprint, trust = self._manager.decrypt_message(message, sender)
            except exceptions.KeyExchangeMessage:
                text = None
            except (exceptions.MessageNotForDevice, exceptions.SelfMessage) as error:
                raise NotForUs("not encrypted for this device") from error
            except exceptions.DuplicateMessage as error:
                raise PeerError("DuplicateMessage: its key was used before") from error
            except exceptions.DecryptionFailed as error:
                raise PeerError(f"DecryptionFailed: {_describe(error.__context__ or error)}") from error
            finally:
                self._store.commit()
            if message.keys[self._manager.get_our_device()][1]:
                if self._answers is not None:
                    self._answers.add((sender, message.sid))
                else:
                    await self._try_to_answer(sender, message.sid)
        return None if text is None else DecryptedMessage(text, fingerprint, _TRUST[trust], encryption="omemo")

    # Keys

    async def fetch_devices(self, of: str) -> list[int]:
        """Published device ids, asked afresh."""
        return sorted(await self._published(of))

    async def remove_device(self, device: int) -> None:
        """Publish the own list without another device, and delete that one's bundle."""
        if device == self._manager.get_our_device():
            raise UserError("a device cannot remove itself: let another one of the account do it")
        listed = await self._published(self._account)
        if device in listed:
            await self._publish_list([one for one in listed if one != device])
        await pep.delete(self._stream, xml_of.BUNDLE.format(device))

    async def rotate_signed_prekey(self) -> None:
        """Publish a new signed prekey, and forget all but the one before: by itself the library keeps them 15 days."""
        self._check_published()
        async with self._lock:
            current = self._store.get_current_signed_pre_key_id()
            new = KeyHelper.generate_signed_pre_key(
                self._store.get_identity_key_pair(), KeyHelper.get_next_signed_pre_key_id(current)
            )
            self._store.store_signed_pre_key(new.get_id(), new)
            for one in self._store.load_signed_pre_keys():
                if one.get_id() not in (current, new.get_id()):
                    self._store.remove_signed_pre_key(one.get_id())
            self._changed = self._manager.get_bundle(xml_of.NAMESPACE)
            self._store.commit()
            await self._answer(())

    async def replace_sessions(self, of: str) -> None:
        """Build sessions from freshly fetched bundles; the library keeps those that they replace."""
        self._check_published()
        async with self._lock:
            if not (devices := self._store.list_sessions(of)):
                raise UserError(f"there is no session with a device of {of}: write first")
            for device in devices:
                if (bundle := await self._fetch(of, device)) is None:
                    raise PeerError(f"{of} has published no bundle of device {device}")
                self._build(of, bundle)
            await self._answer((of, device) for device in devices)

    async def fetch_keys(self, of: str) -> list[DeviceKey]:
        """Known devices of a person; sessions are built with those not yet seen."""
        async with self._lock:
            for device in await self._published(of):
                if (of, device) != (self._account, self._manager.get_our_device()):
                    await self._find_session(of, device)
            self._store.commit()
            found = [(device, self._store.find_fingerprint(of, device)) for device in self._store.list_sessions(of)]
        trust = {key: self._store.find_trust(of, key) or OMEMOTrust.UNDECIDED for _, key in found}
        return sorted((DeviceKey(device, key, _TRUST[trust[key]]) for device, key in found), key=lambda one: one.id)

    async def set_trust(self, of: str, fingerprint: str, level: str) -> None:
        """Decide on the key with this fingerprint."""
        if level not in _LEVELS:
            raise UserError(f"level {level!r} is unknown: use one of {', '.join(_LEVELS)}")
        wanted = fingerprint.replace(" ", "").lower()
        async with self._lock:
            if self._store.find_trust(of, wanted) is None:
                raise UserError(f"{of} has no known key {fingerprint}: see fingerprints")
            self._store.decide(of, wanted, _LEVELS[level])
            self._store.commit()

    # Inside

    def _check_published(self) -> None:
        if self._unpublished:
            raise PeerError(f"not sent: {self._unpublished}")

    async def _published(self, of: str) -> list[int]:
        try:
            payload = await pep.fetch(self._stream, of, xml_of.DEVICE_LIST)
        except LabError as error:
            reason = error.reason if isinstance(error, Refused) else error
            raise PeerError(f"the OMEMO device list of {of} cannot be fetched: {reason}") from error
        return [] if payload is None else xml_of.read_device_list(payload)

    async def _fetch(self, of: str, device: int) -> OMEMOBundle | None:
        payload = await pep.fetch(self._stream, of, xml_of.BUNDLE.format(device))
        return None if payload is None else xml_of.read_bundle(payload, device)


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


STRATEGY = OmemoDrStrategy
