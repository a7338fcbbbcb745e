"""A certificate authority, and the files of certificates that it signs."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


class Pair:
    """The PEM files of a certificate and of its key."""

    def __init__(self, folder, certificate, key):
        folder.mkdir(parents=True, exist_ok=True)
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.serial = certificate.serial_number
        self.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(pem_of_key(key))

    def bytes(self):
        """Key and certificate, in the order of `grpc.ssl_channel_credentials`."""
        return self.key.read_bytes(), self.cert.read_bytes()


class Authority:
    """Signs certificates of servers and of clients. Its files are in `folder`."""

    def __init__(self, folder, name="Test CA"):
        self.folder, self.count = Path(folder), 0
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, name, self.key.public_key(), days=(-1, 30))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = builder.sign(self.key, hashes.SHA256())
        self.file = self.folder / "ca.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, **options):
        """A certificate of a server on this machine."""
        return self.issue("server", dns=["localhost"], addresses=["127.0.0.1"], use=SERVER, **options)

    def client(self, name="client.example", **options):
        """A certificate of a client, with one DNS name."""
        return self.issue(name, **({"dns": [name], "use": CLIENT} | options))

    def issue(self, name, dns=(), uris=(), addresses=(), use=CLIENT, days=(-1, 30), self_signed=False):
        """A certificate that is valid for `days` from now on, with these subject alternative names."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = name if self_signed else self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        builder = _builder(name, issuer, key.public_key(), days)
        alternatives = [
            *map(x509.DNSName, dns),
            *map(x509.UniformResourceIdentifier, uris),
            *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
        ]
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        self.count += 1
        certificate = builder.sign(key if self_signed else self.key, hashes.SHA256())
        return Pair(self.folder / f"{self.count}", certificate, key)


def pem_of_key(key):
    """A private key in PKCS #8."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _builder(name, issuer, public_key, days):
    now = datetime.datetime.now(datetime.timezone.utc)
    begin, end = (now + datetime.timedelta(days=day) for day in days)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
