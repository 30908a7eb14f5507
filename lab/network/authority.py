"""The lab's certificate authority: good certificates, and every kind of bad one on request.

Rules, each measured on real servers:
- the extended key usage is not critical (ejabberd refuses it otherwise) and holds serverAuth and clientAuth,
  since a server is a client of the others (XEP-0178); `server-auth-only` lacks the latter;
- every certificate ends within ten years (an expiry in the year 3000 crashes a timer of ejabberd's);
- it keeps a subject name: without one the subject alternative name becomes critical (RFC 5280 section 4.2.1.6);
- each host name stands there as dNSName and as SRVName (RFC 6120 section 13.7.1.2), but not as XmppAddr: ejabberd
  24.12 crashes on one (xmpp_stream_pkix:get_cert_domains/1, `badarg`) and the stream is lost;
- a server's address stands there as well, for programs that are given it in place of a name.

Keys are P-256: making one and signing with it costs well below a millisecond.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from lab.errors import UserError
from lab.plan.model import CertificateRequest
from lab.servers.conventions import CLIENT_CERTIFICATES
from lab.system.files import make_private_folder, write_private
from lab.topology.spec import Certificate

CERTIFICATE = "authority.pem"
KEY = "authority.key"

SRV_NAME = ObjectIdentifier("1.3.6.1.5.5.7.8.7")  # RFC 4985
# ASN.1 tags
IA5_STRING, UTF8_STRING, OBJECT_IDENTIFIER, SEQUENCE, SET = 0x16, 0x0C, 0x06, 0x30, 0x31

AUTHORITY_LIFE = timedelta(days=5 * 365)
LEAF_LIFE = timedelta(days=2 * 365)
SKEW = timedelta(hours=1)  # clocks of containers and host may differ a little
WRONG = timedelta(days=30)  # how far in the past or the future a wrong validity is
WRONG_NAME = "wrong-name.invalid"  # RFC 2606: can never be anybody's domain
COMMON_NAME_LIMIT = 64  # RFC 5280, ub-common-name


@dataclass(frozen=True)
class Authority:
    """An authority that can issue; what servers trust of it is `pem`."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The authority's certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @classmethod
    def create(cls, folder: Path) -> Authority:
        """Create a new authority and store it in `folder` (0700) as authority.pem and authority.key (0600).

        A link to authority.pem has the name under which OpenSSL looks for it in a folder of certificates.
        """
        authority = cls.generate("xmpplab authority")
        authority.store(folder)
        return authority

    def store(self, folder: Path) -> None:
        """Store it in `folder`, as `create` does."""
        make_private_folder(folder)
        certificate, key = self.to_pem()
        write_private(folder / KEY, key)
        write_private(folder / CERTIFICATE, certificate)
        (folder / f"{compute_subject_hash(self.certificate.subject)}.0").symlink_to(CERTIFICATE)

    def to_pem(self) -> tuple[bytes, bytes]:
        """Its certificate and its key, PEM."""
        return self.pem, _key_pem(self.key)

    @classmethod
    def load(cls, folder: Path) -> Authority:
        """The authority that `create` left in `folder`. Raises UserError if there is none."""
        try:
            return cls.from_pem((folder / CERTIFICATE).read_bytes(), (folder / KEY).read_bytes())
        except (OSError, ValueError) as error:
            raise UserError(f"{folder} holds no certificate authority: {error}; make the lab again") from error

    @classmethod
    def from_pem(cls, certificate: bytes, key: bytes) -> Authority:
        """The authority of this certificate and key. Raises ValueError if they are none, or no pair."""
        found, secret = x509.load_pem_x509_certificate(certificate), serialization.load_pem_private_key(key, None)
        if not isinstance(secret, ec.EllipticCurvePrivateKey):
            raise ValueError("its key is not an elliptic-curve key")  # noqa: TRY004 - all that is wrong is a ValueError
        if found.public_key() != secret.public_key():
            raise ValueError("its key is not that of its certificate")
        return cls(found, secret)

    @classmethod
    def generate(cls, name: str) -> Authority:
        """A new authority in memory only."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = (
            _builder(_subject(name), _subject(name), key, now - SKEW, now + AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    def issue(self, request: CertificateRequest, folder: Path) -> None:
        """Write certs/<domain>.crt (the chain, leaf first), certs/<domain>.key and certs/authority.pem below `folder`.

        Also client-certs/<domain>.crt and .key, a valid one, where clients are to see another than servers.
        `folder` is a server's own. All three are 0600 and belong to the caller: who runs the server as
        another user changes their owner.
        """
        self.issue_pair(request, folder / "certs")
        write_private(folder / "certs" / CERTIFICATE, self.pem)
        if request.clients:
            self.issue_pair(
                replace(request, kind=Certificate.VALID, names=(request.domain, *request.names)),
                folder / CLIENT_CERTIFICATES,
            )

    def issue_pair(self, request: CertificateRequest, folder: Path) -> None:
        """Write <domain>.crt and <domain>.key into `folder` (0700), both 0600."""
        chain, key = self.certify(request)
        make_private_folder(folder)
        write_private(folder / f"{request.domain}.key", _key_pem(key))
        encoded = (certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain)
        write_private(folder / f"{request.domain}.crt", b"".join(encoded))

    def certify(self, request: CertificateRequest) -> tuple[list[x509.Certificate], ec.EllipticCurvePrivateKey]:
        """The certificate chain and key for a request, of the kind it asks for."""
        key = ec.generate_private_key(ec.SECP256R1())
        signer = {Certificate.SELF_SIGNED: None, Certificate.UNKNOWN_AUTHORITY: _untrusted()}.get(request.kind, self)
        wrong = request.kind is Certificate.WRONG_NAME
        names = (WRONG_NAME,) if wrong else request.names or (request.domain,)
        subject = _subject(names[0])
        start, end = _validity(request.kind)
        builder = _builder(subject, signer.certificate.subject if signer else subject, key, start, end)
        builder = (
            builder.add_extension(_alternative_names(names, "" if wrong else request.address), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(_purposes(request.kind)), critical=False)
        )
        if signer is not None:
            identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
            builder = builder.add_extension(identifier, critical=False)
        leaf = builder.sign(signer.key if signer else key, hashes.SHA256())
        return [leaf] if signer is None else [leaf, signer.certificate], key


def compute_subject_hash(subject: x509.Name) -> str:
    """The hash of a name that `openssl x509 -hash` prints: what certificates are called in a hashed folder.

    The first four bytes, in little-endian order, of the SHA-1 of the name's canonical form (X509_NAME_hash_ex(3)): its
    relative names without the outer sequence, values as UTF-8 in lower case with single spaces.
    """
    canonical = b""
    for part in subject.rdns:
        (attribute,) = part
        text = " ".join(str(attribute.value).split()).lower()
        pair = _der_oid(attribute.oid) + _der_string(UTF8_STRING, text.encode())
        canonical += _der_string(SET, _der_string(SEQUENCE, pair))
    digest = hashlib.sha1(canonical, usedforsecurity=False).digest()
    return digest[:4][::-1].hex()


def _der_oid(oid: ObjectIdentifier) -> bytes:
    """The DER encoding of an object identifier (X.690 section 8.19)."""
    first, second, *rest = map(int, oid.dotted_string.split("."))
    body = bytearray()
    for number in (40 * first + second, *rest):
        septets = [number & 0x7F]
        while number := number >> 7:
            septets.append(0x80 | number & 0x7F)
        body += bytes(reversed(septets))
    return _der_string(OBJECT_IDENTIFIER, bytes(body))


@cache
def _untrusted() -> Authority:
    """An authority that no server trusts; its key is never stored."""
    return Authority.generate("an authority that no lab trusts")


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _validity(kind: Certificate) -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    if kind is Certificate.EXPIRED:
        return now - 2 * WRONG, now - WRONG
    if kind is Certificate.NOT_YET_VALID:
        return now + WRONG, now + LEAF_LIFE
    return now - SKEW, now + LEAF_LIFE


def _purposes(kind: Certificate) -> list[ObjectIdentifier]:
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return both[:1] if kind is Certificate.SERVER_AUTH_ONLY else both


def _subject(name: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "xmpplab")]
    if len(name) <= COMMON_NAME_LIMIT:
        parts.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
    return x509.Name(parts)


def _alternative_names(names: Sequence[str], address: str) -> x509.SubjectAlternativeName:
    ascii_names = [name.encode("idna").decode() for name in dict.fromkeys(names)]
    general: list[x509.GeneralName] = [x509.DNSName(name) for name in ascii_names]
    plain = [name for name in ascii_names if "*" not in name]  # RFC 4985 section 2 knows no wildcard
    for service in ("_xmpp-server", "_xmpp-client"):
        general += [x509.OtherName(SRV_NAME, _der_string(IA5_STRING, f"{service}.{name}".encode())) for name in plain]
    if address:
        general.append(x509.IPAddress(ipaddress.ip_address(address)))
    return x509.SubjectAlternativeName(general)


def _der_string(tag: int, value: bytes) -> bytes:
    """A DER value (X.690 section 8.1.3): tag, length, content."""
    size = len(value)
    if size < 0x80:
        return bytes((tag, size)) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + value


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
