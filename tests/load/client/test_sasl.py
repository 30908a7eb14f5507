"""SCRAM gives what the RFCs' examples give, and does not believe a server that knows no password."""

from __future__ import annotations

import pytest

from lab.errors import PeerError
from lab.load.client import sasl
from lab.system import scram

EXAMPLES = {  # RFC 5802 section 5, RFC 7677 section 3
    "SCRAM-SHA-1": (
        "fyko+d2lbbFgONRv9qkxdawL",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    "SCRAM-SHA-256": (
        "rOprNGfwEbeRWgbNEkqO",
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
}


@pytest.mark.parametrize("mechanism", EXAMPLES)
def test_the_examples_of_the_rfcs(mechanism: str) -> None:
    nonce, challenge, last, success = EXAMPLES[mechanism]
    scram = sasl.ScramClient(mechanism, "user", "pencil", nonce)
    assert scram.first_message == f"n,,n=user,r={nonce}".encode()
    assert scram.final_message(challenge.encode()).decode() == last
    scram.verify_server(success.encode())


@pytest.mark.parametrize("success", ["v=AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "", "e=invalid-proof", "v=\xff"])
def test_a_server_must_prove_that_it_knows_the_password(success: str) -> None:
    nonce, challenge, *_ = EXAMPLES["SCRAM-SHA-1"]
    scram = sasl.ScramClient("SCRAM-SHA-1", "user", "pencil", nonce)
    scram.final_message(challenge.encode())
    with pytest.raises(PeerError, match="does not prove"):
        scram.verify_server(success.encode())


@pytest.mark.parametrize(
    "challenge",
    ["", "r=other,s=QSXCR+Q6sek8bf92,i=4096", "r=abc,s=QSXCR+Q6sek8bf92,i=4096", "r=abcd,s=!,i=4096",
     "r=abcd,s=QSXCR+Q6sek8bf92,i=0", "r=abcd,s=QSXCR+Q6sek8bf92,i=1000000000", "r=abcd,s=QSXCR+Q6sek8bf92,i=x"],
)  # fmt: skip
def test_a_challenge_that_breaks_the_rfc_is_refused(challenge: str) -> None:
    with pytest.raises(PeerError):
        sasl.ScramClient("SCRAM-SHA-1", "user", "pencil", "abc").final_message(challenge.encode())


def test_names_are_escaped() -> None:
    assert b"n=a=3Db=2Cc," in sasl.ScramClient("SCRAM-SHA-1", "a=b,c", "x").first_message


def test_the_best_mechanism_is_taken() -> None:
    assert sasl.choose_mechanism(["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"]) == "SCRAM-SHA-256"
    assert sasl.choose_mechanism(["PLAIN"]) == "PLAIN"
    with pytest.raises(PeerError, match="ANONYMOUS"):
        sasl.choose_mechanism(["ANONYMOUS"])


def test_one_derivation_serves_all_accounts() -> None:
    scram.derive_password.cache_clear()
    for user in ("a", "b", "c"):
        nonce, challenge, *_ = EXAMPLES["SCRAM-SHA-1"]
        sasl.ScramClient("SCRAM-SHA-1", user, "pencil", nonce).final_message(challenge.encode())
    assert scram.derive_password.cache_info().misses == 1
