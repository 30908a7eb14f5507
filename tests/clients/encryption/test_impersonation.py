"""Devices of an attacker: they have other keys than those they pass as, and their bundles are taken for valid."""

import copy
from xml.etree import ElementTree as ET

import pytest

from lab.clients.encryption import envelope
from lab.clients.encryption.impersonation import VERSIONS, ImpersonatedDevice
from lab.errors import PeerError

ALICE, BOB = "alice@a.test", "bob@b.test"
OMEMO, OMEMO_2 = "eu.siacs.conversations.axolotl", "urn:xmpp:omemo:2"
#: Where a bundle has its identity key.
KEYS = {OMEMO: "identityKey", OMEMO_2: "ik"}


async def create(jid: str, number: int, namespace: str) -> ImpersonatedDevice:
    return await ImpersonatedDevice.create(jid, number, [namespace])


async def meet(one: ImpersonatedDevice, jid: str, number: int, other: ImpersonatedDevice, namespace: str) -> None:
    await one.meet(jid, namespace, {number: other.bundles[namespace]})


def identity(device: ImpersonatedDevice, namespace: str) -> str:
    return device.bundles[namespace].findtext(f"{{{namespace}}}{KEYS[namespace]}") or ""


@pytest.mark.parametrize("namespace", KEYS)
async def test_what_is_encrypted_to_swapped_keys_is_read_by_who_has_them_alone(namespace: str) -> None:
    alice, bob, cheat = [await create(jid, number, namespace) for jid, number in ((ALICE, 1), (BOB, 2), (BOB, 2))]
    assert identity(cheat, namespace) != identity(bob, namespace)
    await meet(alice, BOB, 2, cheat, namespace)
    await meet(cheat, ALICE, 1, alice, namespace)
    await meet(bob, ALICE, 1, alice, namespace)
    encrypted = await alice.encrypt(b"secret", BOB, namespace)
    with pytest.raises(PeerError):
        await bob.decrypt(copy.deepcopy(encrypted), ALICE)
    assert await cheat.decrypt(encrypted, ALICE) == b"secret"
    assert await alice.decrypt(await cheat.encrypt(b"answer", ALICE, namespace), BOB) == b"answer"


@pytest.mark.parametrize("namespace", KEYS)
async def test_an_identity_key_that_has_not_signed_is_refused(namespace: str) -> None:
    alice, bob, cheat = [await create(jid, number, namespace) for jid, number in ((ALICE, 1), (BOB, 2), (BOB, 2))]
    forged = copy.deepcopy(bob.bundles[namespace])
    found = forged.find(f"{{{namespace}}}{KEYS[namespace]}")
    assert found is not None
    found.text = identity(cheat, namespace)
    await alice.meet(BOB, namespace, {2: forged})
    with pytest.raises(PeerError):
        await alice.encrypt(b"secret", BOB, namespace)


async def test_a_device_of_both_versions_has_one_identity_in_both() -> None:
    alice, both = [await ImpersonatedDevice.create(jid, number, [*VERSIONS]) for jid, number in ((ALICE, 1), (BOB, 7))]
    assert sorted(both.bundles) == sorted(KEYS)
    body = ET.Element("{jabber:client}body")
    body.text = "secret"
    for namespace in KEYS:
        await meet(alice, BOB, 7, both, namespace)
        await meet(both, ALICE, 1, alice, namespace)
        text = b"secret" if namespace == OMEMO else envelope.write([body], ALICE, BOB)
        plaintext = await both.decrypt(await alice.encrypt(text, BOB, namespace), ALICE)
        assert plaintext is not None and both.versions[namespace].find_text(plaintext) == "secret"
