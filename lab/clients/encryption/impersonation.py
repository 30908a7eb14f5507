"""OMEMO devices of an attacker: keys of its own under somebody else's account.

They pass as a device that there is, or as one more. They work on elements alone: who holds them sees to it that others
get their bundles, and carries what they encrypt. A bundle has an identity key that signs its signed prekey, as every
client checks (XEP-0384 0.3 section 4.3): one that only names another identity key is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

import omemo
from omemo.types import DeviceInformation, DeviceList
from xmlschema import XMLSchemaValidationError

from lab.clients.encryption.key_store import KeyStore
from lab.clients.encryption.omemo_0_3 import Omemo03
from lab.clients.encryption.omemo_2 import Omemo2
from lab.clients.encryption.omemo_version import OmemoVersion
from lab.errors import PeerError

# Of what is missing on the wire it warns, as the devices do that are impersonated.
logging.getLogger(omemo.SessionManager.LOG_TAG).setLevel(logging.ERROR)

#: The versions of OMEMO by the namespace of their elements.
VERSIONS: Mapping[str, type[OmemoVersion]] = {one.namespace: one for one in (Omemo2, Omemo03)}
#: The level of trust in everybody.
TRUSTED = "trusted"
#: Bundles by device id, as they are published.
Bundles = Mapping[int, ET.Element]


class ImpersonatedDevice:
    """A device that passes as one of somebody else's."""

    def __init__(self, account: str, namespaces: Sequence[str]) -> None:
        self._account = account
        self._store = KeyStore(account, None, {})
        self.versions = {name: VERSIONS[name](self._store) for name in namespaces}
        self._known: dict[tuple[str, str, int], ET.Element] = {}  # namespace, bare JID, device
        self._manager: Any = None
        self.bundles: dict[str, ET.Element] = {}  # what is to be published, by namespace

    @classmethod
    async def create(cls, account: str, device: int, namespaces: Sequence[str]) -> ImpersonatedDevice:
        """With new keys for these versions of OMEMO; `bundles` are theirs."""
        made = cls(account, namespaces)
        sessions: list[omemo.Backend] = [version.sessions for version in made.versions.values()]
        manager_class = _manager_class(made, device)
        made._manager = await manager_class.create(sessions, made._store, account, None, TRUSTED)
        await made._manager.after_history_sync()
        return made

    async def decrypt(self, encrypted: ET.Element, sender: str) -> bytes | None:
        """What is encrypted for it in an `<encrypted/>` from a device that it has met, None if there is no text.

        Raises PeerError.
        """
        version = self.versions[read_namespace(encrypted)]
        try:
            parsed = await version.read_message(encrypted, sender, self._account, self._manager)
            plaintext, _, _ = await version.sessions.decrypt(self._manager, parsed)
        except (omemo.OMEMOException, XMLSchemaValidationError, ValueError) as error:
            raise PeerError(f"{type(error).__name__}: {error}") from error
        return plaintext

    async def meet(self, jid: str, namespace: str, bundles: Bundles) -> None:
        """Take these devices for all that somebody (bare JID) has in a version of OMEMO."""
        self._known = {key: bundle for key, bundle in self._known.items() if key[:2] != (namespace, jid)}
        self._known |= {(namespace, jid, device): bundle for device, bundle in bundles.items()}
        await self._manager.update_device_list(namespace, jid, dict.fromkeys(bundles))

    async def encrypt(self, plaintext: bytes, receiver: str, namespace: str) -> ET.Element:
        """An `<encrypted/>` for the devices that somebody (bare JID) has. Raises PeerError."""
        try:
            made, _ = await self._manager.encrypt(frozenset({receiver}), {namespace: plaintext})
        except (omemo.OMEMOException, XMLSchemaValidationError, ValueError) as error:
            raise PeerError(f"{type(error).__name__}: {error}") from error
        return self.versions[namespace].write_message(next(iter(made)))

    def find_bundle(self, namespace: str, jid: str, device: int) -> ET.Element | None:
        """A bundle that it was given."""
        return self._known.get((namespace, jid, device))

    def list_devices(self, namespace: str, jid: str) -> list[int]:
        """Devices of which it was given bundles; of its own account none, so that its id is free for it."""
        return [device for known, owner, device in self._known if (known, owner) == (namespace, jid)]


def read_namespace(element: ET.Element) -> str:
    """The namespace of an element."""
    return element.tag.partition("}")[0].removeprefix("{")


def _manager_class(owner: ImpersonatedDevice, device: int) -> type[omemo.SessionManager]:
    """A session manager that publishes nothing, and trusts everybody."""

    class ImpersonatingManager(omemo.SessionManager):
        """The library calls most of these unbound."""

        # The library draws an id out of this range.
        DEVICE_ID_MIN, DEVICE_ID_MAX = device, device + 1

        @staticmethod
        async def _upload_bundle(bundle: omemo.Bundle) -> None:
            owner.bundles[bundle.namespace] = owner.versions[bundle.namespace].write_bundle(bundle)

        @staticmethod
        async def _download_bundle(namespace: str, bare_jid: str, device_id: int) -> omemo.Bundle:
            found = owner.find_bundle(namespace, bare_jid, device_id)
            if found is None:
                raise omemo.BundleNotFound(f"no bundle of {bare_jid}, {device_id} has been seen")
            return owner.versions[namespace].read_bundle(found, bare_jid, device_id)

        @staticmethod
        async def _delete_bundle(namespace: str, device_id: int) -> None:
            """Nothing was published."""

        @staticmethod
        async def _upload_device_list(namespace: str, device_list: DeviceList) -> None:
            """The real one stays."""

        @staticmethod
        async def _download_device_list(namespace: str, bare_jid: str) -> DeviceList:
            return dict.fromkeys(owner.list_devices(namespace, bare_jid))

        async def _evaluate_custom_trust_level(self, device: DeviceInformation) -> omemo.TrustLevel:
            return omemo.TrustLevel.TRUSTED

        async def _make_trust_decision(self, undecided: frozenset[DeviceInformation], identifier: str | None) -> None:
            raise AssertionError("everybody is trusted")

        @staticmethod
        async def _send_message(message: omemo.Message, bare_jid: str) -> None:
            """Empty messages complete a session: it works without."""

    return ImpersonatingManager
