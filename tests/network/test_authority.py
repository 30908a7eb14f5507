"""The certificate authority: what a verifier that is not ours says of each kind, and what the files look like."""

from __future__ import annotations

import ssl
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from lab.clients.xmpp.client_stream import make_tls_context
from lab.errors import UserError
from lab.network.authority import SRV_NAME, Authority
from lab.plan.model import CertificateRequest
from lab.topology.spec import Certificate

DOMAIN = "home.test"
NAMES = ("home.test", "rooms.home.test", "upload.home.test")


def request(kind: Certificate = Certificate.VALID, domain: str = DOMAIN) -> CertificateRequest:
    return CertificateRequest(domain=domain, names=NAMES, kind=kind)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "authority")


def handshake(trusted: Path, folder: Path, name: str = DOMAIN, domain: str = DOMAIN) -> None:
    """A TLS handshake in memory (OpenSSL's verifier); raises ssl.SSLCertVerificationError."""
    handshake_with(ssl.create_default_context(cafile=str(trusted)), folder, name=name, domain=domain)


def handshake_with(
    calling: ssl.SSLContext, folder: Path, certificates: str = "certs", name: str = DOMAIN, domain: str = DOMAIN
) -> None:
    certs = folder / certificates
    accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    accepting.load_cert_chain(certs / f"{domain}.crt", certs / f"{domain}.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = calling.wrap_bio(to_client, to_server, server_hostname=name)
    server = accepting.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize("name", NAMES)
def test_valid_certificate_holds_for_every_host_name(authority: Authority, tmp_path: Path, name: str) -> None:
    authority.issue(request(), tmp_path)
    handshake(tmp_path / "certs/authority.pem", tmp_path, name)


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (Certificate.EXPIRED, "expired"),
        (Certificate.NOT_YET_VALID, "not yet valid"),
        (Certificate.WRONG_NAME, "Hostname mismatch"),
        (Certificate.SELF_SIGNED, "self-signed|self signed"),
        (Certificate.UNKNOWN_AUTHORITY, "self-signed certificate in certificate chain|unable to get"),
    ],
)
def test_bad_kind_is_refused_for_its_own_reason(
    authority: Authority, tmp_path: Path, kind: Certificate, complaint: str
) -> None:
    authority.issue(request(kind), tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match=complaint):
        handshake(tmp_path / "certs/authority.pem", tmp_path)


@pytest.mark.parametrize("kind", list(Certificate))
def test_who_trusts_a_servers_own_certificate_accepts_exactly_that(
    authority: Authority, tmp_path: Path, kind: Certificate
) -> None:
    authority.issue(request(kind), tmp_path / "one")
    authority.issue(request(kind), tmp_path / "other")
    context = make_tls_context(leaf(tmp_path / "one").public_bytes(serialization.Encoding.PEM).decode())
    handshake_with(context, tmp_path / "one")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake_with(context, tmp_path / "other")


def test_a_certificate_has_the_names_that_are_asked_for_and_no_other(authority: Authority, tmp_path: Path) -> None:
    authority.issue(replace(request(), names=(f"*.{DOMAIN}",), clients=True), tmp_path)
    trusted = tmp_path / "certs/authority.pem"
    handshake(trusted, tmp_path, f"conference.{DOMAIN}")
    for name in (DOMAIN, f"a.conference.{DOMAIN}", "other.test"):  # RFC 6125 section 6.4.3: one label
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            handshake(trusted, tmp_path, name)
    handshake_with(make_tls_context(authority.pem.decode()), tmp_path, "client-certs")


def test_clients_get_a_valid_one_where_servers_see_a_wrong_one(authority: Authority, tmp_path: Path) -> None:
    authority.issue(replace(request(Certificate.EXPIRED), clients=True), tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        handshake(tmp_path / "certs/authority.pem", tmp_path)
    handshake_with(make_tls_context(authority.pem.decode()), tmp_path, "client-certs")


def test_server_auth_only_serves_but_is_no_client(authority: Authority, tmp_path: Path) -> None:
    authority.issue(request(Certificate.SERVER_AUTH_ONLY), tmp_path)
    handshake(tmp_path / "certs/authority.pem", tmp_path)
    usage = leaf(tmp_path).extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(usage.value) == [ExtendedKeyUsageOID.SERVER_AUTH]


def leaf(folder: Path, domain: str = DOMAIN) -> x509.Certificate:
    return x509.load_pem_x509_certificates((folder / f"certs/{domain}.crt").read_bytes())[0]


def test_rules_that_servers_need(authority: Authority, tmp_path: Path) -> None:
    authority.issue(request(), tmp_path)
    certificate = leaf(tmp_path)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert not usage.critical
    assert set(usage.value) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert not alternative.critical
    assert certificate.subject
    for checked in (certificate, authority.certificate):
        assert (checked.not_valid_after_utc - checked.not_valid_before_utc).days < 3650
    others = alternative.value.get_values_for_type(x509.OtherName)
    assert {other.type_id for other in others} == {SRV_NAME}  # an XmppAddr crashes ejabberd
    services = [other.value[2:].decode() for other in others]
    assert services == [f"{service}.{name}" for service in ("_xmpp-server", "_xmpp-client") for name in NAMES]


def test_long_names_need_long_der_lengths_and_no_common_name(authority: Authority, tmp_path: Path) -> None:
    domain = ".".join(["x" * 60] * 3) + ".test"
    asked = CertificateRequest(domain=domain, names=(domain,), kind=Certificate.VALID)
    authority.issue(asked, tmp_path)
    handshake(tmp_path / "certs/authority.pem", tmp_path, name=domain, domain=domain)
    other = leaf(tmp_path, domain).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert other.get_values_for_type(x509.OtherName)[0].value.endswith(domain.encode())


def test_files_are_closed_to_others(authority: Authority, tmp_path: Path) -> None:
    authority.issue(request(), tmp_path / "server")
    for folder in (tmp_path / "authority", tmp_path / "server/certs"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        files = list(folder.iterdir())
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert not [file.name for file in files if file.name.startswith(".")]


def test_loaded_authority_issues_what_the_first_one_would(authority: Authority, tmp_path: Path) -> None:
    Authority.load(tmp_path / "authority").issue(request(), tmp_path)
    assert (tmp_path / "certs/authority.pem").read_bytes() == authority.pem
    handshake(tmp_path / "certs/authority.pem", tmp_path)


def test_loading_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no certificate authority"):
        Authority.load(tmp_path)


def test_it_is_found_in_a_folder_of_certificates_as_openssl_finds_it(authority: Authority, tmp_path: Path) -> None:
    (link,) = (tmp_path / "authority").glob("*.0")
    argv = ["openssl", "x509", "-hash", "-noout", "-in", str(link)]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip() == link.stem


@pytest.mark.parametrize("address", ["127.80.1.0", "198.18.1.7"])
def test_a_certificate_holds_for_the_servers_address(authority: Authority, tmp_path: Path, address: str) -> None:
    authority.issue(replace(request(), address=address), tmp_path)
    handshake(tmp_path / "certs/authority.pem", tmp_path, address)
    handshake(tmp_path / "certs/authority.pem", tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        handshake(tmp_path / "certs/authority.pem", tmp_path, "127.0.0.1")


def test_a_wrong_name_is_not_made_good_by_the_address(authority: Authority, tmp_path: Path) -> None:
    authority.issue(replace(request(Certificate.WRONG_NAME), address="127.80.1.0"), tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path / "certs/authority.pem", tmp_path, "127.80.1.0")
