"""OMEMO (XEP-0384), in the versions that a device speaks: 0.3 here, 2 and both in the modules beside this one.

- A device list is fetched before each message, so that "every device known then" does not depend on a push that is
  still on its way; pushes (PEP) are taken into account as well.
- Nothing is ever sent in the clear: without devices, without a decision on a key, without a fetched list, `seal`
  raises PeerError.
- What a device does not speak it neither announces nor publishes.
- With both versions a message has an element for each version that a receiving device needs; each device is encrypted
  to once.
- Sessions that another one replaced are kept (lab.clients.encryption.sessions): first messages may cross.
- A device whose keys are optional is online without published keys where its server refuses them: it encrypts to
  nobody, and nobody to it.
- All state changes are made under one lock and committed before anything leaves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from itertools import chain
from typing import Any, ClassVar, TypeVar
from xml.etree import ElementTree as ET

import omemo
from omemo.types import DeviceInformation
from slixmpp.xmlstream import StanzaBase
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath
from slixmpp_omemo.base_session_manager import TrustLevel
from xmlschema import XMLSchemaValidationError

from lab.clients.encryption import (
    DecryptedMessage,
    DeviceKey,
    Encryption,
    EncryptionSettings,
    LeftOutDevice,
    NotForUs,
    SealedMessage,
    envelope,
    pep,
)
from lab.clients.encryption.key_store import KeyStore
from lab.clients.encryption.omemo_0_3 import Omemo03
from lab.clients.encryption.omemo_message import build_empty, excuse_refusal, name_encryption
from lab.clients.encryption.omemo_version import OmemoVersion
from lab.clients.encryption.session_manager import (
    UndecidedKeys,
    create,
    fetch_device_list,
    read_device_list,
)
from lab.clients.encryption.session_manager import format_fingerprint as fingerprint_of
from lab.clients.xmpp.client_stream import ClientStream
from lab.clients.xmpp.stanzas import CLIENT, Incoming
from lab.errors import LabError, PeerError, UserError

EVENT = "http://jabber.org/protocol/pubsub#event"

# The library warns of what is ordinary (a new device is not in its list yet) and debugs with plaintext.
logging.getLogger(omemo.SessionManager.LOG_TAG).setLevel(logging.ERROR)

T = TypeVar("T")

#: Seconds between two fetches that show whether the server has what was published.
POLL_INTERVAL = 0.05

_TRUST = {
    TrustLevel.TRUSTED.name: "trusted",
    TrustLevel.BLINDLY_TRUSTED.name: "blind",
    TrustLevel.UNDECIDED.name: "undecided",
    TrustLevel.DISTRUSTED.name: "distrusted",
}
_LEVELS = {
    "trusted": TrustLevel.TRUSTED.name,
    "distrusted": TrustLevel.DISTRUSTED.name,
    "undecided": TrustLevel.UNDECIDED.name,
}


class OmemoStrategy(Encryption):
    """OMEMO for one live stream of one device."""

    name = "omemo"
    #: The versions that the device speaks. A device that reads several of them is encrypted to with the first.
    speaks: ClassVar[tuple[type[OmemoVersion], ...]] = (Omemo03,)

    def __init__(self, settings: EncryptionSettings) -> None:
        """Nothing is read before the stream is there: the account is part of what is read."""
        super().__init__(settings)
        self.envelopes = any(one.envelopes for one in self.speaks)
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._unpublished = ""  # why the keys are not published, where they need not be
        self._stream: ClientStream
        self._store: KeyStore
        self._versions: dict[str, OmemoVersion]  # by namespace
        self._manager: omemo.SessionManager

    # Opening and closing a stream

    def prepare(self, stream: ClientStream) -> None:
        """Announce that device lists are wanted (XEP-0163 section 4), and listen for them."""
        self._stream = stream
        self._store = KeyStore(stream.boundjid.bare, self.settings.folder, self.settings.memory)
        self._versions = {one.namespace: one(self._store) for one in self.speaks}
        stream.register_plugin("xep_0115")
        for version in self._versions.values():
            stream.plugin["xep_0030"].add_feature(f"{version.device_list}+notify")
        pushed = MatchXPath(f"{{{CLIENT}}}message/{{{EVENT}}}event")
        stream.register_handler(Callback("lab device lists", pushed, self._on_pushed_list))

    async def start(self) -> dict[str, Any]:
        """Make or load keys, publish bundle and device list."""
        try:
            return await self._publish()
        except PeerError as error:
            self._unpublished = excuse_refusal(error, self.settings, self.name)
            return {}

    async def _publish(self) -> dict[str, Any]:
        async with self._transaction():
            known = await self._check_store()
            blind = self.settings.trust == "blind"
            versions = [*self._versions.values()]
            self._manager = await create(self._stream, self._store, versions, blind, self._send_empty)
            if known:  # a start that broke off, or a server that lost its store, is put right here
                await self._manager.ensure_data_consistency()
            own, _ = await self._manager.get_own_device_information()
        await self._stream.plugin["xep_0115"].update_caps(broadcast=False)
        return {"omemo_device": own.device_id, "fingerprint": fingerprint_of(own.identity_key)}

    async def _check_store(self) -> bool:
        """Whether the store has a device. Raises UserError where it speaks more: others would go on to use that."""
        found: Any = (await self._store.load("/own_device_id")).maybe(None)
        if found is None:
            return False
        name = f"/devices/{self._store.account}/{found}/namespaces"
        spoken: Any = (await self._store.load(name)).maybe([])
        if more := sorted({*spoken} - {*self._versions}):
            raise UserError(
                f"the keys of this device are published for {', '.join(more)} as well, which {self.name} does not "
                "read: connect it with the encryption that it had, or give it a new folder"
            )
        return True

    async def ready(self) -> None:
        """Leave catch-up mode, then fetch until the server has our list and our bundle."""
        if self._unpublished:
            return
        async with self._transaction():
            await self._manager.after_history_sync()
            own, _ = await self._manager.get_own_device_information()
        for version in self._versions.values():
            await self._wait_until_published(version, own.device_id)

    @asynccontextmanager
    async def catching_up(self) -> AsyncIterator[None]:
        """One empty message for each session at the end, and one-time keys are kept until then."""
        if self._unpublished:
            yield
            return
        self._manager.before_history_sync()
        try:
            yield
        finally:
            async with self._transaction():
                await self._manager.after_history_sync()

    async def _wait_until_published(self, version: OmemoVersion, device: int) -> None:
        account = self._stream.boundjid.bare
        while True:
            listed = device in await self._published(version, account)
            if listed and await version.fetch_bundle(self._stream, account, device) is not None:
                return
            await asyncio.sleep(POLL_INTERVAL)

    async def close(self) -> None:
        """End the rotation of keys and what is still fetching."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if hasattr(self, "_manager"):
            await self._manager.shutdown()
        self._store.commit()

    # Messages

    async def seal(self, message: ET.Element, people: frozenset[str]) -> SealedMessage:
        """Encrypt for all published devices of these people and the own other ones.

        That is the body; if all of them get OMEMO 2, everything that is not for servers. A message without a body is
        for those who read OMEMO 2.
        """
        content = envelope.find_content(message)
        has_text = envelope.read_text(content) is not None
        usable = {name: one for name, one in self._versions.items() if has_text or one.envelopes}
        if not usable:
            raise PeerError("not sent: OMEMO 0.3 encrypts a body, and the message has none")
        if self._unpublished:
            raise PeerError(f"not sent: {self._unpublished}")
        own = self._stream.boundjid.bare
        others = sorted(people - {own})
        lists = {own: await self._fetch_lists(own)}
        lists |= zip(others, await _run_all(map(self._fetch_lists, others)), strict=True)
        receiver = message.get("to", "")
        plaintexts = {name: one.write_plaintext(content, own, receiver) for name, one in usable.items()}
        async with self._transaction():
            for person, found in lists.items():
                await self._take_lists(person, found)
            encrypted, failed = await self._manager.encrypt(people, plaintexts, [*usable])
        contents = sorted(encrypted, key=lambda one: [*self._versions].index(one.namespace))
        if not contents:
            raise PeerError("not sent: there is no other device that could read it")
        if len({one.namespace for one in contents}) != len(contents):
            raise PeerError(f"OMEMO gave {len(contents)} messages for {', '.join(sorted(people))}, not one per version")
        self._put_into(message, content, contents)
        reached = {(key.bare_jid, key.device_id) for content in contents for key, _ in content.keys}
        reached.add((own, contents[0].device_id))
        reasons = {(error.bare_jid, error.device_id): str(error.exception) for error in failed}
        missed = {(jid, device) for jid, found in lists.items() for device in chain(*found)} - reached
        left_out = [await self._left_out(jid, device, reasons.get((jid, device), "")) for jid, device in sorted(missed)]
        return SealedMessage([message], left_out, sorted(reached - {(own, contents[0].device_id)}))

    def _put_into(self, message: ET.Element, content: list[ET.Element], contents: list[omemo.Message]) -> None:
        """Put what is encrypted in the place of the content, with what old clients show, and what servers should do."""
        used = [self._versions[one.namespace] for one in contents]
        for version, one in zip(used, contents, strict=True):
            message.append(version.write_message(one))
        name_encryption(message, used[0].namespace)
        fallback = next((one.fallback for one in used if one.fallback), None)
        for child in content:
            if child.tag == f"{{{CLIENT}}}body" and fallback is not None:
                child.text = fallback
            elif all(one.envelopes for one in used):  # for the others what is not the body stays readable
                message.remove(child)

    def hides_content(self, message: ET.Element) -> bool:
        """Whether a message has an envelope of OMEMO 2, and this device reads that."""
        versions = [one for one in self._versions.values() if one.envelopes]
        return any(message.find(f"{{{one.namespace}}}encrypted") is not None for one in versions)

    async def _left_out(self, jid: str, device: int, reason: str) -> LeftOutDevice:
        """Why a device was left out: its key is distrusted, or there is none, or there is and it could not be used."""
        async with self._transaction():
            known = {it.device_id: it for it in await self._manager.get_device_information(jid)}
        if device in known and _TRUST[known[device].trust_level_name] == "distrusted":
            return LeftOutDevice(jid, device, reason or "its key is distrusted", published=True, excluded=True)
        try:
            bundles = [await one.fetch_bundle(self._stream, jid, device) for one in self._versions.values()]
        except LabError as error:
            return LeftOutDevice(jid, device, reason or f"its keys cannot be fetched: {error}", published=None)
        if all(bundle is None for bundle in bundles):
            return LeftOutDevice(jid, device, reason or "it has published no keys", published=False)
        return LeftOutDevice(jid, device, reason or "its keys cannot be used", published=True)

    async def decrypt(self, incoming: Incoming, sender: str) -> DecryptedMessage | None:
        """Decrypt for this device."""
        found = [(one, incoming.xml.find(f"{{{name}}}encrypted")) for name, one in self._versions.items()]
        elements = [(version, element) for version, element in found if element is not None]
        if not elements:
            raise PeerError(f"encrypted with {incoming.encrypted}, which this device does not read")
        if not sender:
            raise PeerError(f"the room does not show who {incoming.sender} is")
        async with self._transaction():
            version, parsed = await self._find_own(elements, sender)
            plaintext, device, _ = await version.sessions.decrypt(self._manager, parsed)
            trust = await self._first_seen(device)
        content = [] if plaintext is None else version.read_plaintext(plaintext, incoming, sender)
        key, text = fingerprint_of(device.identity_key), envelope.read_text(content)
        others = tuple(one for one in content if one.tag != f"{{{CLIENT}}}body")
        return DecryptedMessage(text, key, _TRUST[trust], encryption=version.name, content=others)

    async def _find_own(
        self, elements: list[tuple[OmemoVersion, ET.Element]], sender: str
    ) -> tuple[OmemoVersion, omemo.Message]:
        """The one of a message's elements that is encrypted for this device; the last one if none is."""
        me = self._store.account, (await self._store.load("/own_device_id")).from_just()
        for version, element in elements:
            parsed = await version.read_message(element, sender, self._store.account, self._manager)
            if any((key.bare_jid, key.device_id) == me for key, _ in parsed.keys):
                break
        return version, parsed

    async def _first_seen(self, device: DeviceInformation) -> str:
        """The trust in a sender's key; a new one is trusted blindly as long as nobody verified one of that person."""
        if device.trust_level_name != TrustLevel.UNDECIDED.name or self.settings.trust != "blind":
            return device.trust_level_name
        known = await self._manager.get_device_information(device.bare_jid)
        unverified = {TrustLevel.UNDECIDED.name, TrustLevel.BLINDLY_TRUSTED.name}
        if any(it.trust_level_name not in unverified for it in known):
            return device.trust_level_name
        await self._manager.set_trust(device.bare_jid, device.identity_key, TrustLevel.BLINDLY_TRUSTED.name)
        return TrustLevel.BLINDLY_TRUSTED.name

    def _send_empty(self, element: ET.Element, to: str) -> None:
        """Send keys without a message: completes a session (XEP-0384 0.3 section 4.6)."""
        build_empty(self._stream, element, to).send()

    # Keys

    async def fetch_devices(self, of: str) -> list[int]:
        """Published device ids, asked afresh."""
        lists = await self._fetch_lists(of)
        async with self._transaction():
            await self._take_lists(of, lists)
        return sorted({*chain(*lists)})

    async def remove_device(self, device: int) -> None:
        """Publish the lists of the own account without another of its devices, and delete that one's bundles."""
        own = self._stream.boundjid.bare
        async with self._transaction():
            if device == (await self._manager.get_own_device_information())[0].device_id:
                raise UserError("a device cannot remove itself: let another one of the account do it")
            for version in self._versions.values():
                devices = await fetch_device_list(self._stream, version, own)
                if device in devices:
                    devices = {one: label for one, label in devices.items() if one != device}
                    await pep.publish(self._stream, version.device_list, version.write_device_list(devices))
                await version.delete_bundle(self._stream, device)

    async def rotate_signed_prekey(self) -> None:
        """New signed prekeys in the own bundles. The library keeps the one before until the next rotation."""
        async with self._transaction():
            own, _ = await self._manager.get_own_device_information()
            for version in self._versions.values():
                await version.sessions.rotate_signed_pre_key()
                bundle = await version.sessions.get_bundle(self._store.account, own.device_id)
                self._store.commit()
                await version.publish_bundle(self._stream, bundle)

    async def replace_sessions(self, of: str) -> None:
        """Build sessions from freshly fetched bundles; those that they replace are archived."""
        async with self._transaction():
            backends = [version.sessions for version in self._versions.values()]
            devices = [
                one
                for one in await self._manager.get_device_information(of)
                if any([await backend.load_session(of, one.device_id) for backend in backends])
            ]
            if not devices:
                raise UserError(f"there is no session with a device of {of}: write first")
            for device in devices:
                for namespace, error in (await self._manager.replace_sessions(device)).items():
                    raise PeerError(f"{of}, device {device.device_id}, {namespace}: {_describe(error)}") from error

    async def fetch_keys(self, of: str) -> list[DeviceKey]:
        """Known devices of a person; bundles not yet seen are fetched."""
        async with self._transaction():
            found = await self._manager.get_device_information(of)
        return sorted(
            (DeviceKey(it.device_id, fingerprint_of(it.identity_key), _TRUST[it.trust_level_name]) for it in found),
            key=lambda key: key.id,
        )

    async def set_trust(self, of: str, fingerprint: str, level: str) -> None:
        """Decide on the key with this fingerprint."""
        if level not in _LEVELS:
            raise UserError(f"level {level!r} is unknown: use one of {', '.join(_LEVELS)}")
        wanted = fingerprint.replace(" ", "").lower()
        async with self._transaction():
            for device in await self._manager.get_device_information(of):
                if fingerprint_of(device.identity_key) == wanted:
                    await self._manager.set_trust(of, device.identity_key, _LEVELS[level])
                    return
        raise UserError(f"{of} has no known key {fingerprint}: see fingerprints")

    # Inside

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        """One change of state: alone, committed at its end, its failures raised as the lab's errors."""
        if self._unpublished:
            raise PeerError(self._unpublished)
        async with self._lock:
            try:
                yield
            except omemo.NoEligibleDevices as error:
                who = ", ".join(sorted(error.bare_jids))
                raise PeerError(
                    f"not sent: {who} has no OMEMO device that can be encrypted to (this one uses {self.name})"
                ) from error
            except (UndecidedKeys, omemo.DeviceListDownloadFailed) as error:
                raise PeerError(str(error)) from error
            except omemo.SenderNotFound as error:
                why = error.__cause__ or "the sender's device is not on its device list, or has no bundle"
                raise PeerError(str(why)) from error
            except omemo.MessageNotForUs as error:
                raise NotForUs("not encrypted for this device") from error
            except (omemo.OMEMOException, XMLSchemaValidationError, ValueError) as error:
                raise PeerError(_describe(error)) from error
            finally:
                self._store.commit()

    async def _published(self, version: OmemoVersion, of: str) -> list[int]:
        try:
            return list(await fetch_device_list(self._stream, version, of))
        except omemo.OMEMOException as error:
            raise PeerError(str(error)) from error

    async def _fetch_lists(self, of: str) -> list[list[int]]:
        """The devices that a person has published, for each version."""
        return await _run_all(self._published(version, of) for version in self._versions.values())

    async def _take_lists(self, of: str, lists: list[list[int]]) -> None:
        """Remember these as a person's devices, in a transaction."""
        for version, devices in zip(self._versions.values(), lists, strict=True):
            await self._manager.update_device_list(version.namespace, of, dict.fromkeys(devices))

    def _on_pushed_list(self, stanza: StanzaBase) -> None:
        if self._unpublished:
            return
        items = stanza.xml.find(f"{{{EVENT}}}event/{{{EVENT}}}items")
        item = None if items is None else items.find(f"{{{EVENT}}}item")
        if items is None or item is None or not len(item):
            return
        pushed = next((one for one in self._versions.values() if one.device_list == items.get("node")), None)
        if pushed is None:
            return
        sender = stanza.xml.get("from", self._stream.boundjid.bare).partition("/")[0]
        task = asyncio.create_task(self._update_list(pushed, sender, item[0]))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _update_list(self, version: OmemoVersion, of: str, payload: ET.Element) -> None:
        try:
            async with self._transaction():
                devices = read_device_list(version, of, payload)
                await self._manager.update_device_list(version.namespace, of, devices)
        except PeerError as error:
            self.settings.trouble(f"a pushed device list of {of}: {error}")


async def _run_all(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results, in order. One alone needs no task, which costs as much as to encrypt a key."""
    every = [*work]
    return [await every[0]] if len(every) == 1 else await asyncio.gather(*every)


def _describe(error: Exception) -> str:
    """What went wrong and why, without the header of the message that the library adds: bytes say nothing to people."""
    text, cause = str(error) or "no reason is given", str(error.__cause__ or "").partition(" Header: ")[0]
    return f"{type(error).__name__}: {text}" + (f" ({cause})" if cause not in text else "")


STRATEGY = OmemoStrategy
