"""python-omemo's session manager, with OMEMO 0.3 as its only version, over one stream.

slixmpp-omemo's own plugin announces omemo:2, which it cannot read, and keeps a failed start for ever. So only its
trust (blind before verification, or manual) is used here; what goes over the stream is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree as ET

import oldmemo.etree
import omemo
from oldmemo.oldmemo import NAMESPACE, BundleImpl
from omemo.types import DeviceInformation, DeviceList
from slixmpp_omemo.base_session_manager import BaseSessionManager, TrustLevel
from xmlschema import XMLSchemaValidationError

from lab.clients.encryption import pep
from lab.clients.encryption.key_store import KeyStore
from lab.clients.encryption.sessions import Sessions
from lab.clients.xmpp.client_stream import ClientStream
from lab.errors import LabError

DEVICE_LIST = f"{NAMESPACE}.devicelist"
BUNDLE = f"{NAMESPACE}.bundles:{{}}"

#: Sends an element, without a message of a person, to a JID.
SendEmpty = Callable[[ET.Element, str], None]


class UndecidedKeys(omemo.TrustDecisionFailed):
    """Keys wait for a decision; nothing is encrypted before."""


def format_fingerprint(identity_key: bytes) -> str:
    """The 64 hex digits that people compare."""
    return "".join(omemo.SessionManager.format_identity_key(identity_key))


async def create(
    stream: ClientStream, store: KeyStore, sessions: Sessions, blind: bool, send_empty: SendEmpty
) -> omemo.SessionManager:
    """The session manager of this stream's account; keys are made and published if there are none yet.

    Raises omemo.OMEMOException where publishing or fetching fails: nothing of it is remembered, try again.
    """
    manager: omemo.SessionManager = await _manager_class(
        _publishing_class(stream, store), store, blind, send_empty
    ).create([sessions], store, stream.boundjid.bare, None, TrustLevel.UNDECIDED.name)
    store.commit()
    return manager


def _publishing_class(stream: ClientStream, store: KeyStore) -> type[BaseSessionManager]:
    """A session manager class that publishes and fetches over this stream: the library calls its methods unbound."""

    class PublishingManager(BaseSessionManager):
        """Bundles and device lists over one stream."""

        @staticmethod
        async def _upload_bundle(bundle: omemo.Bundle) -> None:
            store.commit()
            assert isinstance(bundle, BundleImpl)
            try:
                await pep.publish(stream, BUNDLE.format(bundle.device_id), oldmemo.etree.serialize_bundle(bundle))
            except LabError as error:
                raise omemo.BundleUploadFailed(str(error)) from error

        @staticmethod
        async def _download_bundle(namespace: str, bare_jid: str, device_id: int) -> omemo.Bundle:
            try:
                payload = await pep.fetch(stream, bare_jid, BUNDLE.format(device_id))
            except LabError as error:
                raise omemo.BundleDownloadFailed(str(error)) from error
            if payload is None:
                raise omemo.BundleNotFound(f"{bare_jid} has published no bundle of device {device_id}")
            try:
                return oldmemo.etree.parse_bundle(payload, bare_jid, device_id)
            except (ValueError, XMLSchemaValidationError) as error:
                raise omemo.BundleDownloadFailed(f"the bundle of {bare_jid}, {device_id} is malformed") from error

        @staticmethod
        async def _delete_bundle(namespace: str, device_id: int) -> None:
            try:
                await pep.delete(stream, BUNDLE.format(device_id))
            except LabError as error:
                raise omemo.BundleDeletionFailed(str(error)) from error

        @staticmethod
        async def _upload_device_list(namespace: str, device_list: DeviceList) -> None:
            store.commit()
            try:
                await pep.publish(stream, DEVICE_LIST, oldmemo.etree.serialize_device_list(device_list))
            except LabError as error:
                raise omemo.DeviceListUploadFailed(str(error)) from error

        @staticmethod
        async def _download_device_list(namespace: str, bare_jid: str) -> DeviceList:
            return await fetch_device_list(stream, bare_jid)

    return PublishingManager


def _manager_class(
    base: type[BaseSessionManager], store: KeyStore, blind: bool, send_empty: SendEmpty
) -> type[BaseSessionManager]:
    class TrustingManager(base):  # type: ignore[misc,valid-type]  # the class of one stream
        """Trust as the device is set, and empty messages over its stream."""

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
            send_empty(oldmemo.etree.serialize_message(message), bare_jid)

    return TrustingManager


async def fetch_device_list(stream: ClientStream, of: str) -> DeviceList:
    """The OMEMO devices that a person has published. Raises omemo.DeviceListDownloadFailed."""
    try:
        payload = await pep.fetch(stream, of, DEVICE_LIST)
    except LabError as error:
        raise omemo.DeviceListDownloadFailed(f"the OMEMO device list of {of} cannot be fetched: {error}") from error
    return {} if payload is None else read_device_list(of, payload)


def read_device_list(of: str, payload: ET.Element) -> DeviceList:
    """The device list in an item. Raises omemo.DeviceListDownloadFailed for one that is malformed."""
    try:
        return oldmemo.etree.parse_device_list(payload)
    except (ValueError, XMLSchemaValidationError) as error:
        raise omemo.DeviceListDownloadFailed(f"the OMEMO device list of {of} is malformed") from error
