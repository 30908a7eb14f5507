"""python-omemo's session manager, with the versions of OMEMO that a device speaks, over one stream.

slixmpp-omemo's own plugin announces omemo:2, which it cannot read, and keeps a failed start for ever. So only its
trust (blind before verification, or manual) is used here; what goes over the stream is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from xml.etree import ElementTree as ET

import omemo
from omemo.session import Session
from omemo.types import DeviceInformation, DeviceList
from slixmpp_omemo.base_session_manager import BaseSessionManager, TrustLevel
from xmlschema import XMLSchemaValidationError

from lab.clients.encryption import pep
from lab.clients.encryption.key_store import KeyStore
from lab.clients.encryption.omemo_version import OmemoVersion
from lab.clients.xmpp.client_stream import ClientStream, Refused
from lab.errors import LabError

#: Sends an element, without a message of a person, to a JID.
SendEmpty = Callable[[ET.Element, str], None]


class UndecidedKeys(omemo.TrustDecisionFailed):
    """Keys wait for a decision; nothing is encrypted before."""


@lru_cache(maxsize=1000)
def format_fingerprint(identity_key: bytes) -> str:
    """The 64 hex digits that people compare."""
    return "".join(omemo.SessionManager.format_identity_key(identity_key))


async def create(
    stream: ClientStream, store: KeyStore, versions: Sequence[OmemoVersion], blind: bool, send_empty: SendEmpty
) -> omemo.SessionManager:
    """The session manager of this stream's account; keys are made and published if there are none yet.

    A device that reads several of the versions is encrypted to with the first of them. Raises omemo.OMEMOException
    where publishing or fetching fails: nothing of it is remembered, try again.
    """
    spoken = {version.namespace: version for version in versions}
    base = _publishing_class(stream, store, spoken)
    manager: omemo.SessionManager = await _manager_class(base, store, spoken, blind, send_empty).create(
        [version.sessions for version in versions], store, stream.boundjid.bare, None, TrustLevel.UNDECIDED.name
    )
    store.commit()
    return manager


def _publishing_class(
    stream: ClientStream, store: KeyStore, versions: dict[str, OmemoVersion]
) -> type[BaseSessionManager]:
    """A session manager class that publishes and fetches over this stream: the library calls its methods unbound."""

    class PublishingManager(BaseSessionManager):
        """Bundles and device lists over one stream."""

        @staticmethod
        async def _upload_bundle(bundle: omemo.Bundle) -> None:
            store.commit()
            try:
                await versions[bundle.namespace].publish_bundle(stream, bundle)
            except LabError as error:
                raise omemo.BundleUploadFailed(str(error)) from error

        @staticmethod
        async def _download_bundle(namespace: str, bare_jid: str, device_id: int) -> omemo.Bundle:
            version = versions[namespace]
            try:
                payload = await version.fetch_bundle(stream, bare_jid, device_id)
            except LabError as error:
                raise omemo.BundleDownloadFailed(str(error)) from error
            if payload is None:
                raise omemo.BundleNotFound(f"{bare_jid} has published no bundle of device {device_id}")
            try:
                return version.read_bundle(payload, bare_jid, device_id)
            except (ValueError, XMLSchemaValidationError) as error:
                raise omemo.BundleDownloadFailed(f"the bundle of {bare_jid}, {device_id} is malformed") from error

        @staticmethod
        async def _delete_bundle(namespace: str, device_id: int) -> None:
            try:
                await versions[namespace].delete_bundle(stream, device_id)
            except LabError as error:
                raise omemo.BundleDeletionFailed(str(error)) from error

        @staticmethod
        async def _upload_device_list(namespace: str, device_list: DeviceList) -> None:
            store.commit()
            version = versions[namespace]
            try:
                await pep.publish(stream, version.device_list, version.write_device_list(device_list))
            except LabError as error:
                raise omemo.DeviceListUploadFailed(str(error)) from error

        @staticmethod
        async def _download_device_list(namespace: str, bare_jid: str) -> DeviceList:
            return await fetch_device_list(stream, versions[namespace], bare_jid)

    return PublishingManager


def _manager_class(
    base: type[BaseSessionManager],
    store: KeyStore,
    versions: dict[str, OmemoVersion],
    blind: bool,
    send_empty: SendEmpty,
) -> type[BaseSessionManager]:
    taken: dict[tuple[str, str], DeviceList] = {}  # by namespace and person: the list that was taken in last

    class TrustingManager(base):  # type: ignore[misc,valid-type]  # the class of one stream
        """Trust as the device is set, and empty messages over its stream."""

        async def update_device_list(self, namespace: str, bare_jid: str, device_list: DeviceList) -> None:
            """Take in a device list, unless it is the one that was taken in last: it is fetched for each message.

            An own list that lacks this device is always taken in, as the device is published again then.
            """
            if taken.get((namespace, bare_jid)) == device_list:
                return
            await super().update_device_list(namespace, bare_jid, device_list)
            own, _ = await self.get_own_device_information()
            if bare_jid != store.account or own.device_id in device_list:
                taken[namespace, bare_jid] = {**device_list}

        async def after_history_sync(self) -> None:
            """What waited for this device has been read: the keys that it used leave the bundles."""
            changed = [one for one in versions.values() if one.sessions.keeps_used_keys]
            await super().after_history_sync()
            own, _ = await self.get_own_device_information()
            for version in changed:
                await self._upload_bundle(await version.sessions.get_bundle(store.account, own.device_id))

        async def _SessionManager__send_empty_message(  # noqa: N802 - the library's, which has no other place for it
            self, backend: omemo.Backend, session: Session
        ) -> None:
            """Answer each 53rd message that nothing has answered, where the library answers each one after the 53rd.

            Of empty messages that are lost the other's session keeps a key each, a thousand at most, and reads and
            writes all of them with every message: 550 of them make a message six times as expensive, for ever.
            """
            most, received = self.STALENESS_MAGIC_NUMBER, session.receiving_chain_length or 0
            if received <= most or received > most * (session.sending_chain_length + 1):
                await super()._SessionManager__send_empty_message(backend, session)

        @property
        def _btbv_enabled(self) -> bool:
            return blind

        async def _prompt_manual_trust(
            self, manually_trusted: frozenset[DeviceInformation], identifier: str | None
        ) -> None:
            keys = ", ".join(f"{it.bare_jid} {format_fingerprint(it.identity_key)}" for it in manually_trusted)
            raise UndecidedKeys(f"not sent: nobody has decided whether to trust {keys}; use set_trust")

        @staticmethod
        async def _send_message(message: omemo.Message, bare_jid: str) -> None:
            store.commit()
            send_empty(versions[message.namespace].write_message(message), bare_jid)

    return TrustingManager


async def fetch_device_list(stream: ClientStream, version: OmemoVersion, of: str) -> DeviceList:
    """The OMEMO devices that a person has published. Raises omemo.DeviceListDownloadFailed."""
    try:
        payload = await pep.fetch(stream, of, version.device_list)
    except LabError as error:
        reason = error.reason if isinstance(error, Refused) else error
        raise omemo.DeviceListDownloadFailed(f"the OMEMO device list of {of} cannot be fetched: {reason}") from error
    return {} if payload is None else read_device_list(version, of, payload)


def read_device_list(version: OmemoVersion, of: str, payload: ET.Element) -> DeviceList:
    """The device list in an item. Raises omemo.DeviceListDownloadFailed for one that is malformed."""
    try:
        return version.read_device_list_of(of, payload)
    except (ValueError, XMLSchemaValidationError) as error:
        raise omemo.DeviceListDownloadFailed(f"the OMEMO device list of {of} is malformed") from error
