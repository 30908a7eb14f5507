"""How omemo-dr's bundles, device lists and messages are written and read: OMEMO 0.3, eu.siacs.conversations.axolotl.

Written here, and not by the other implementation of OMEMO: what one of them writes wrongly the other is to notice.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from xml.etree import ElementTree as ET

from omemo_dr.const import NS_OMEMO_TMP
from omemo_dr.structs import OMEMOBundle, OMEMOMessage, PreKey

from lab.errors import PeerError

NAMESPACE = NS_OMEMO_TMP
DEVICE_LIST = f"{NAMESPACE}.devicelist"
BUNDLE = f"{NAMESPACE}.bundles:{{}}"
_NS = f"{{{NAMESPACE}}}"


def write_device_list(devices: list[int]) -> ET.Element:
    """A device list as it is published (section 4.2)."""
    root = ET.Element(f"{_NS}list")
    for device in devices:
        ET.SubElement(root, f"{_NS}device", {"id": str(device)})
    return root


def read_device_list(element: ET.Element) -> list[int]:
    """The ids in a device list. Raises PeerError for one that is malformed."""
    try:
        return [int(one.get("id", "")) for one in element.findall(f"{_NS}device")]
    except ValueError as error:
        raise PeerError("an OMEMO device list is malformed") from error


def write_bundle(bundle: OMEMOBundle) -> ET.Element:
    """A bundle as it is published (section 4.4)."""
    root = ET.Element(f"{_NS}bundle")
    signed = ET.SubElement(root, f"{_NS}signedPreKeyPublic", {"signedPreKeyId": str(bundle.spk["id"])})
    signed.text = _text(bundle.spk["key"])
    ET.SubElement(root, f"{_NS}signedPreKeySignature").text = _text(bundle.spk_signature)
    ET.SubElement(root, f"{_NS}identityKey").text = _text(bundle.ik)
    prekeys = ET.SubElement(root, f"{_NS}prekeys")
    for one in bundle.otpks:
        ET.SubElement(prekeys, f"{_NS}preKeyPublic", {"preKeyId": str(one["id"])}).text = _text(one["key"])
    return root


def read_bundle(element: ET.Element, device: int) -> OMEMOBundle:
    """A bundle as the library has it. Raises PeerError for one that is malformed."""
    try:
        signed = _find(element, "signedPreKeyPublic")
        prekeys = element.findall(f"{_NS}prekeys/{_NS}preKeyPublic")
        return OMEMOBundle(
            device_id=device,
            namespace=NAMESPACE,
            ik=_bytes(_find(element, "identityKey")),
            spk=PreKey(key=_bytes(signed), id=int(signed.get("signedPreKeyId", ""))),
            spk_signature=_bytes(_find(element, "signedPreKeySignature")),
            otpks=[PreKey(key=_bytes(one), id=int(one.get("preKeyId", ""))) for one in prekeys],
        )
    except ValueError as error:
        raise PeerError(f"the OMEMO bundle of device {device} is malformed") from error


def write_message(message: OMEMOMessage) -> ET.Element:
    """The element of an encrypted message, or of keys alone (sections 4.5 and 4.6)."""
    root = ET.Element(f"{_NS}encrypted")
    header = ET.SubElement(root, f"{_NS}header", {"sid": str(message.sid)})
    for device, (key, begins) in message.keys.items():
        attributes = {"rid": str(device), **({"prekey": "true"} if begins else {})}
        ET.SubElement(header, f"{_NS}key", attributes).text = _text(key)
    ET.SubElement(header, f"{_NS}iv").text = _text(message.iv)
    if message.payload is not None:
        ET.SubElement(root, f"{_NS}payload").text = _text(message.payload)
    return root


def read_message(element: ET.Element) -> OMEMOMessage:
    """An encrypted message as the library has it. Raises PeerError for one that is malformed."""
    try:
        header = _find(element, "header")
        payload = element.find(f"{_NS}payload")
        return OMEMOMessage(
            sid=int(header.get("sid", "")),
            keys={
                int(one.get("rid", "")): (_bytes(one), one.get("prekey") in ("true", "1"))
                for one in header.findall(f"{_NS}key")
            },
            iv=_bytes(_find(header, "iv")),
            payload=None if payload is None else _bytes(payload),
        )
    except ValueError as error:
        raise PeerError("an OMEMO message is malformed") from error


def _find(element: ET.Element, name: str) -> ET.Element:
    found = element.find(f"{_NS}{name}")
    if found is None:
        raise ValueError(name)
    return found


def _bytes(element: ET.Element) -> bytes:
    return b64decode(element.text or "")


def _text(value: bytes) -> str:
    return b64encode(value).decode("ascii")
