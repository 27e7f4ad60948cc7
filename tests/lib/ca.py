"""A private certificate authority, a server of 127.0.0.1 and server.test, and a client, as files in a directory.

    ca = Authority(directory); ca.path; ca.server -> (certificate, key); ca.client("bff") -> the same
    ca.client("edge", dns=["edge.example.com"], expired=True); ca.new_server("next") -> the same
"""
import datetime
import ipaddress
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE = datetime.timedelta(days=2)


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    def __init__(self, directory):
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name("bff test authority")
        builder = self._builder(self.name, self.key).add_extension(x509.BasicConstraints(True, 0), True)
        self.path = self._write("ca.pem", builder.sign(self.key, hashes.SHA256()))
        self.server = self.new_server("server")

    def new_server(self, name):
        loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                                                x509.DNSName("server.test")])
        return self._issue(name, ExtendedKeyUsageOID.SERVER_AUTH, loopback)

    def _builder(self, subject, key, expired=False):
        now = datetime.datetime.utcnow() - (2 * _LIFE if expired else datetime.timedelta())
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name)
                .public_key(key.public_key()).serial_number(x509.random_serial_number())
                .not_valid_before(now - _LIFE).not_valid_after(now + _LIFE))

    def _write(self, name, thing):
        path = os.path.join(self.directory, name)
        if isinstance(thing, x509.Certificate):
            data = thing.public_bytes(serialization.Encoding.PEM)
        else:
            data = thing.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption())
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
            f.write(data)
        return path

    def _issue(self, name, usage, names=None, expired=False):
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_name(name), key, expired).add_extension(x509.ExtendedKeyUsage([usage]), False)
        if names is not None:
            builder = builder.add_extension(names, False)
        return (self._write(name + ".pem", builder.sign(self.key, hashes.SHA256())),
                self._write(name + "-key.pem", key))

    def client(self, name, dns=(), expired=False):
        names = x509.SubjectAlternativeName([x509.DNSName(d) for d in dns]) if dns else None
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH, names, expired)


def der(path):
    """The certificate of a PEM file, as a TLS server sees it."""
    with open(path, "rb") as f:
        return x509.load_pem_x509_certificate(f.read()).public_bytes(serialization.Encoding.DER)
