"""OMEMO 0.3 devices of an attacker: keys of its own under somebody else's account and device id.

They work on elements alone: who holds them sees to it that others get their bundles, and carries what they encrypt.
A bundle has an identity key that signs its signed prekey, as every client checks (XEP-0384 0.3 section 4.3): one that
only names another identity key is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

import oldmemo.etree
import omemo
from oldmemo.oldmemo import NAMESPACE, BundleImpl
from omemo.types import DeviceInformation, DeviceList
from xmlschema import XMLSchemaValidationError

from lab.clients.encryption.key_store import KeyStore
from lab.clients.encryption.omemo_0_3 import Omemo03Sessions
from lab.errors import PeerError

# Of what is missing on the wire it warns, as the devices do that are impersonated.
logging.getLogger(omemo.SessionManager.LOG_TAG).setLevel(logging.ERROR)

#: The level of trust in everybody.
TRUSTED = "trusted"
#: Bundles by device id, as they are published.
Bundles = Mapping[int, ET.Element]


class ImpersonatedDevice:
    """A device that passes as one of somebody else's."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._store = KeyStore(account, None, {})
        self._sessions = Omemo03Sessions(self._store)
        self._known: dict[tuple[str, int], ET.Element] = {}
        self._manager: Any = None
        self.bundle = ET.Element("bundle")  # what is to be published, once it is made

    @classmethod
    async def create(cls, account: str, device: int) -> ImpersonatedDevice:
        """With new keys; `bundle` is theirs."""
        made = cls(account)
        manager_class = _manager_class(made, device)
        made._manager = await manager_class.create([made._sessions], made._store, account, None, TRUSTED)
        await made._manager.after_history_sync()
        return made

    async def decrypt(self, encrypted: ET.Element, sender: str) -> str | None:
        """The text of an `<encrypted/>` from a device that it has met, None if it has none. Raises PeerError."""
        try:
            parsed = await oldmemo.etree.parse_message(encrypted, sender, self._account, self._manager)
            plaintext, _, _ = await self._sessions.decrypt(self._manager, parsed)
        except (omemo.OMEMOException, XMLSchemaValidationError, ValueError) as error:
            raise PeerError(f"{type(error).__name__}: {error}") from error
        return None if plaintext is None else plaintext.decode("utf-8", "replace")

    async def meet(self, jid: str, bundles: Bundles) -> None:
        """Take these devices for all that somebody (bare JID) has."""
        self._known = {key: bundle for key, bundle in self._known.items() if key[0] != jid}
        self._known |= {(jid, device): bundle for device, bundle in bundles.items()}
        await self._manager.update_device_list(NAMESPACE, jid, dict.fromkeys(bundles))

    async def encrypt(self, text: str, receiver: str) -> ET.Element:
        """An `<encrypted/>` for the devices that somebody (bare JID) has. Raises PeerError."""
        try:
            made, _ = await self._manager.encrypt(frozenset({receiver}), {NAMESPACE: text.encode()})
        except (omemo.OMEMOException, XMLSchemaValidationError, ValueError) as error:
            raise PeerError(f"{type(error).__name__}: {error}") from error
        element: ET.Element = oldmemo.etree.serialize_message(next(iter(made)))
        return element

    def find_bundle(self, jid: str, device: int) -> ET.Element | None:
        """A bundle that it was given."""
        return self._known.get((jid, device))

    def list_devices(self, jid: str) -> list[int]:
        """Devices of which it was given bundles; of its own account none, so that its id is free for it."""
        return [device for owner, device in self._known if owner == jid]


def _manager_class(owner: ImpersonatedDevice, device: int) -> type[omemo.SessionManager]:
    """A session manager that publishes nothing, and trusts everybody."""

    class ImpersonatingManager(omemo.SessionManager):
        """The library calls most of these unbound."""

        # The library draws an id out of this range.
        DEVICE_ID_MIN, DEVICE_ID_MAX = device, device + 1

        @staticmethod
        async def _upload_bundle(bundle: omemo.Bundle) -> None:
            assert isinstance(bundle, BundleImpl)
            owner.bundle = oldmemo.etree.serialize_bundle(bundle)

        @staticmethod
        async def _download_bundle(namespace: str, bare_jid: str, device_id: int) -> omemo.Bundle:
            found = owner.find_bundle(bare_jid, device_id)
            if found is None:
                raise omemo.BundleNotFound(f"no bundle of {bare_jid}, {device_id} has been seen")
            return oldmemo.etree.parse_bundle(found, bare_jid, device_id)

        @staticmethod
        async def _delete_bundle(namespace: str, device_id: int) -> None:
            """Nothing was published."""

        @staticmethod
        async def _upload_device_list(namespace: str, device_list: DeviceList) -> None:
            """The real one stays."""

        @staticmethod
        async def _download_device_list(namespace: str, bare_jid: str) -> DeviceList:
            return dict.fromkeys(owner.list_devices(bare_jid))

        async def _evaluate_custom_trust_level(self, device: DeviceInformation) -> omemo.TrustLevel:
            return omemo.TrustLevel.TRUSTED

        async def _make_trust_decision(self, undecided: frozenset[DeviceInformation], identifier: str | None) -> None:
            raise AssertionError("everybody is trusted")

        @staticmethod
        async def _send_message(message: omemo.Message, bare_jid: str) -> None:
            """Empty messages complete a session: it works without."""

    return ImpersonatingManager
