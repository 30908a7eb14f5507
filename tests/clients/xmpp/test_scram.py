import secrets

import pytest
from slixmpp.util.sasl.client import MECHANISMS, SASLMutualAuthFailed
from slixmpp.util.sasl.mechanisms import SCRAM

from lab.clients.xmpp.scram import FastScram
from lab.system.scram import derive_password

SECURITY = {"tls_version": "TLSv1.3", "encrypted": True, "unencrypted_scram": False, "binding_proposed": True}

# RFC 5802 section 5, RFC 7677 section 3: mechanism, client nonce, server's first message, proof, server's signature.
VECTORS = [
    (
        "SCRAM-SHA-1",
        "fyko+d2lbbFgONRv9qkxdawL",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    (
        "SCRAM-SHA-256",
        "rOprNGfwEbeRWgbNEkqO",
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
]


def exchange(name):
    return FastScram(
        name, {"username": b"user", "password": b"pencil", "authzid": b"", "channel_binding": b""}, SECURITY
    )


@pytest.mark.parametrize(("name", "nonce", "challenge", "proof", "signature"), VECTORS)
def test_exchanges_of_the_standards(monkeypatch, name, nonce, challenge, proof, signature):
    monkeypatch.setattr(secrets, "token_urlsafe", lambda size: nonce)
    client = exchange(name)
    assert client.process() == f"n,,n=user,r={nonce}".encode()
    assert client.process(challenge) == proof
    assert client.process(signature) == b""


def test_a_server_that_does_not_know_the_password_is_refused(monkeypatch):
    name, nonce, challenge, _, _ = VECTORS[1]
    monkeypatch.setattr(secrets, "token_urlsafe", lambda size: nonce)
    client = exchange(name)
    client.process()
    client.process(challenge)
    with pytest.raises(SASLMutualAuthFailed):
        client.process(b"v=AAAA")


def test_derivation_is_slixmpps_own():
    slow = SCRAM.Hi(exchange("SCRAM-SHA-256"), b"pencil", b"salt", 64)
    assert derive_password("sha256", b"pencil", b"salt", 64) == slow


def test_a_password_is_derived_once_per_salt_and_count():
    derive_password.cache_clear()
    for salt, iterations in [(b"one", 4096), (b"one", 4096), (b"two", 4096), (b"one", 4097), (b"one", 4096)]:
        exchange("SCRAM-SHA-1").Hi(b"pencil", salt, iterations)
    assert (derive_password.cache_info().hits, derive_password.cache_info().misses) == (2, 3)


def test_nonces_differ():
    assert len({exchange("SCRAM-SHA-1").process() for _ in range(100)}) == 100


def test_it_stands_in_slixmpps_registry():
    for name in ("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"):
        assert MECHANISMS[name] is FastScram
