"""Devices of an attacker: they have other keys than those they pass as, and their bundles are taken for valid."""

import copy

import pytest

from lab.clients.encryption.impersonation import ImpersonatedDevice
from lab.errors import PeerError

ALICE, BOB = "alice@a.test", "bob@b.test"
OMEMO = "{eu.siacs.conversations.axolotl}"


async def met(one: ImpersonatedDevice, jid: str, number: int, other: ImpersonatedDevice) -> None:
    await one.meet(jid, {number: other.bundle})


def identity(device: ImpersonatedDevice) -> str:
    return device.bundle.findtext(f"{OMEMO}identityKey") or ""


async def test_what_is_encrypted_to_swapped_keys_is_read_by_who_has_them_alone():
    alice, bob = await ImpersonatedDevice.create(ALICE, 1), await ImpersonatedDevice.create(BOB, 2)
    cheat = await ImpersonatedDevice.create(BOB, 2)
    assert identity(cheat) != identity(bob)
    await met(alice, BOB, 2, cheat)
    await met(cheat, ALICE, 1, alice)
    await met(bob, ALICE, 1, alice)
    encrypted = await alice.encrypt("secret", BOB)
    with pytest.raises(PeerError):
        await bob.decrypt(copy.deepcopy(encrypted), ALICE)
    assert await cheat.decrypt(encrypted, ALICE) == "secret"
    assert await alice.decrypt(await cheat.encrypt("answer", ALICE), BOB) == "answer"


async def test_an_identity_key_that_has_not_signed_is_refused():
    alice, bob, cheat = [
        await ImpersonatedDevice.create(jid, number) for jid, number in ((ALICE, 1), (BOB, 2), (BOB, 2))
    ]
    forged = copy.deepcopy(bob.bundle)
    found = forged.find(f"{OMEMO}identityKey")
    assert found is not None
    found.text = identity(cheat)
    await alice.meet(BOB, {2: forged})
    with pytest.raises(PeerError):
        await alice.encrypt("secret", BOB)
