"""What omemo-dr stores: keys, sessions and trust of one device, in one JSON file, 0600, replaced as a whole.

The library asks for an object with these methods (`omemo_dr.state.store.Store`); trust is decided here, as it is for
devices with python-omemo.
"""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from omemo_dr.const import OMEMOTrust
from omemo_dr.exceptions import InvalidKeyIdException
from omemo_dr.identitykey import IdentityKey
from omemo_dr.identitykeypair import IdentityKeyPair
from omemo_dr.state.prekeyrecord import PreKeyRecord
from omemo_dr.state.sessionrecord import SessionRecord
from omemo_dr.state.signedprekeyrecord import SignedPreKeyRecord
from omemo_dr.state.store import Store
from omemo_dr.structs import IdentityInfo

from lab.clients.encryption.key_store import read_values, write_values

FILE = "omemo-dr.json"

Values = dict[str, Any]


class OmemoDrStore(Store):
    """The values of one device; without a folder they live in `memory`, a dictionary of the caller's."""

    def __init__(self, account: str, folder: Path | None, memory: Values, *, blind: bool) -> None:
        """Raises UserError where the file is not one of ours, or another account's."""
        self._account, self._blind = account, blind
        self._path = None if folder is None else folder / FILE
        self._values: Values = memory if self._path is None else read_values(self._path, account)

    def commit(self) -> None:
        """Write what there is now."""
        if self._path is not None:
            write_values(self._path, self._account, self._values)

    def _of(self, *names: str) -> Values:
        """The dictionary below these names; it is made."""
        found = self._values
        for name in names:
            found = found.setdefault(name, {})
        return found

    # The own device

    def needs_init(self) -> bool:
        """Whether there are no keys yet."""
        return "identity" not in self._values

    def set_our_identity(self, device_id: int, identity_key_pair: IdentityKeyPair) -> None:
        """Store the own id and long-term key."""
        self._values["device"], self._values["identity"] = device_id, _text(identity_key_pair.serialize())

    def get_identity_key_pair(self) -> IdentityKeyPair:
        """The own long-term key."""
        return IdentityKeyPair.from_bytes(b64decode(self._values["identity"]))

    def get_our_device_id(self) -> int:
        """The own id."""
        return int(self._values["device"])

    # Keys of others, and trust in them

    def save_identity(self, recipient_id: str, identity_key: IdentityKey) -> None:
        """Remember a key; a new one is trusted blindly until one of that person's has been verified."""
        known = self._of("trust", recipient_id)
        verified = {OMEMOTrust.VERIFIED, OMEMOTrust.UNTRUSTED} & {*known.values()}
        trust = OMEMOTrust.BLIND if self._blind and not verified else OMEMOTrust.UNDECIDED
        known.setdefault(identity_key.get_fingerprint(), int(trust))

    def delete_identity(self, recipient_id: str, identity_key: IdentityKey) -> None:
        """Forget a key."""
        self._of("trust", recipient_id).pop(identity_key.get_fingerprint(), None)

    def is_trusted_identity(self, recipient_id: str, identity_key: IdentityKey) -> bool:
        """Whether a session may be built: always, since it is decided when something is sent."""
        return True

    def set_trust(self, recipient_id: str, identity_key: IdentityKey, trust: OMEMOTrust) -> None:
        """Decide on a key."""
        self.decide(recipient_id, identity_key.get_fingerprint(), trust)

    def decide(self, person: str, fingerprint: str, trust: OMEMOTrust) -> None:
        """Decide on the key with this fingerprint."""
        self._of("trust", person)[fingerprint] = int(trust)

    def get_trust_for_identity(self, recipient_id: str, identity_key: IdentityKey) -> OMEMOTrust | None:
        """The trust in a key, None if it is unknown."""
        return self.find_trust(recipient_id, identity_key.get_fingerprint())

    def find_trust(self, person: str, fingerprint: str) -> OMEMOTrust | None:
        """The trust in the key with this fingerprint, None if it is unknown."""
        found = self._of("trust", person).get(fingerprint)
        return None if found is None else OMEMOTrust(found)

    def is_trusted(self, recipient_id: str, device_id: int) -> bool:
        """Whether the library may encrypt for a device that there is a session with."""
        if not self.contains_session(recipient_id, device_id):
            return False
        trust = self.find_trust(recipient_id, self.find_fingerprint(recipient_id, device_id))
        return trust in (OMEMOTrust.VERIFIED, OMEMOTrust.BLIND)

    def find_fingerprint(self, person: str, device: int) -> str:
        """The fingerprint of a device that there is a session with."""
        state = self.load_session(person, device).get_session_state()
        return str(state.get_remote_identity_key().get_fingerprint())

    def get_identity_infos(self, recipient_ids: str | list[str]) -> list[IdentityInfo]:
        """What the library's callers show to people: here `OmemoDrStrategy.fetch_keys` does."""
        return []

    def set_identity_last_seen(self, recipient_id: str, identity_key: IdentityKey) -> None:
        """Nobody is shown when a key was used last."""

    # One-time keys

    def get_pre_key_count(self) -> int:
        """How many there are."""
        return len(self._of("prekeys"))

    def load_pre_key(self, pre_key_id: int) -> PreKeyRecord:
        """One of them. Raises InvalidKeyIdException if it was used."""
        if not self.contains_pre_key(pre_key_id):
            raise InvalidKeyIdException(f"No such one-time key: {pre_key_id}")
        return PreKeyRecord.from_bytes(b64decode(self._of("prekeys")[str(pre_key_id)]))

    def load_pending_pre_keys(self) -> list[PreKeyRecord]:
        """All of them."""
        return [PreKeyRecord.from_bytes(b64decode(one)) for one in self._of("prekeys").values()]

    def get_current_pre_key_id(self) -> int | None:
        """The highest id that was ever given."""
        return self._values.get("last_prekey")

    def store_pre_key(self, pre_key_id: int, pre_key_record: PreKeyRecord) -> None:
        """Store one."""
        self._of("prekeys")[str(pre_key_id)] = _text(pre_key_record.serialize())
        self._values["last_prekey"] = pre_key_id

    def contains_pre_key(self, pre_key_id: int) -> bool:
        """Whether there is one with this id."""
        return str(pre_key_id) in self._of("prekeys")

    def remove_pre_key(self, pre_key_id: int) -> None:
        """Forget one: at once, as Gajim does, also while messages are waiting."""
        self._of("prekeys").pop(str(pre_key_id), None)

    # Signed prekeys

    def load_signed_pre_key(self, signed_pre_key_id: int) -> SignedPreKeyRecord:
        """One of them. Raises InvalidKeyIdException if it is gone."""
        if not self.contains_signed_pre_key(signed_pre_key_id):
            raise InvalidKeyIdException(f"No such signed prekey: {signed_pre_key_id}")
        return SignedPreKeyRecord.from_bytes(b64decode(self._of("signed")[str(signed_pre_key_id)]["key"]))

    def load_signed_pre_keys(self) -> list[SignedPreKeyRecord]:
        """All of them, the newest last."""
        return [self.load_signed_pre_key(int(one)) for one in self._of("signed")]

    def store_signed_pre_key(self, signed_pre_key_id: int, signed_pre_key_record: SignedPreKeyRecord) -> None:
        """Store a new one."""
        record = {"key": _text(signed_pre_key_record.serialize()), "at": int(time.time())}
        self._of("signed")[str(signed_pre_key_id)] = record

    def contains_signed_pre_key(self, signed_pre_key_id: int) -> bool:
        """Whether there is one with this id."""
        return str(signed_pre_key_id) in self._of("signed")

    def get_current_signed_pre_key_id(self) -> int:
        """The id of the newest."""
        return int([*self._of("signed")][-1])

    def get_signed_pre_key_timestamp(self, signed_pre_key_id: int) -> int:
        """When one was stored, in seconds since the epoch."""
        return int(self._of("signed")[str(signed_pre_key_id)]["at"])

    def remove_old_signed_pre_keys(self, timestamp: int) -> None:
        """Forget those that were stored before, but for the newest."""
        for name in [*self._of("signed")][:-1]:
            if self.get_signed_pre_key_timestamp(int(name)) < timestamp:
                self.remove_signed_pre_key(int(name))

    def remove_signed_pre_key(self, signed_pre_key_id: int) -> None:
        """Forget one."""
        self._of("signed").pop(str(signed_pre_key_id), None)

    # Sessions

    def load_session(self, recipient_id: str, device_id: int) -> SessionRecord:
        """The session with a device, a new one if there is none."""
        found = self._of("sessions", recipient_id).get(str(device_id))
        return SessionRecord() if found is None else SessionRecord(serialized=b64decode(found))

    def store_session(self, recipient_id: str, device_id: int, session_record: SessionRecord) -> None:
        """Store it."""
        self._of("sessions", recipient_id)[str(device_id)] = _text(session_record.serialize())

    def contains_session(self, recipient_id: str, device_id: int) -> bool:
        """Whether there is one."""
        return str(device_id) in self._of("sessions", recipient_id)

    def list_sessions(self, person: str) -> list[int]:
        """The devices of a person that there are sessions with."""
        return [int(one) for one in self._of("sessions", person)]

    def get_inactive_sessions_keys(self, recipient_id: str) -> list[IdentityKey]:
        """Devices are never inactive here, see `get_unacknowledged_count`."""
        return []

    def delete_session(self, recipient_id: str, device_id: int) -> None:
        """Forget one."""
        self._of("sessions", recipient_id).pop(str(device_id), None)

    def delete_all_sessions(self, recipient_id: str) -> None:
        """Forget all with a person's devices."""
        self._of("sessions").pop(recipient_id, None)

    # Devices that answer no more: a lab says of each who was left out, and why, and never leaves one out by itself

    def get_active_device_tuples(self) -> list[tuple[str, int]]:
        """None: device lists are fetched before each message."""
        return []

    def get_unacknowledged_count(self, recipient_id: str, device_id: int) -> int:
        """Not counted."""
        return 0

    def set_active_state(self, address: str, devicelist: list[int]) -> None:
        """Not stored."""

    def set_inactive(self, address: str, device_id: int) -> None:
        """Not stored."""


def _text(key: bytes) -> str:
    return b64encode(key).decode("ascii")
