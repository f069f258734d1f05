"""
Makes the certificates beside it, valid for a hundred years but for the expired one: python tests/tls/make.py

Needs the `cryptography` package; the tests themselves only read the files.
"""
from __future__ import absolute_import

import datetime
import ipaddress
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

HERE = os.path.dirname(os.path.abspath(__file__))
BEGIN = datetime.datetime(2020, 1, 1)
END = datetime.datetime(2120, 1, 1)
#: Python 2.7 knows no addresses in certificates: it looks for them among the names
LOCAL = [x509.DNSName("localhost"), x509.DNSName("127.0.0.1"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]


def new_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(name, issuer=None, names=LOCAL, end=END):
    """Return ``(certificate, key)``; an authority's, or one that signs itself, without an issuer."""
    key = new_key()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    authority = issuer is None and names is None
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    builder = builder.issuer_name(issuer[0].subject if issuer else subject)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(BEGIN).not_valid_after(end)
    builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    # Python 3.13 insists on these
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key((issuer[1] if issuer else key).public_key()), critical=False)
    if authority:
        builder = builder.add_extension(x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False
        ), critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


def write(name, made, password=None):
    """Write ``NAME.pem`` and ``NAME.key``."""
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    with open(os.path.join(HERE, name + ".pem"), "wb") as target:
        target.write(made[0].public_bytes(serialization.Encoding.PEM))
    with open(os.path.join(HERE, name + ".key"), "wb") as target:
        target.write(made[1].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, hidden))


def main():
    authority = certificate("kiel tests authority", names=None)
    other = certificate("another authority", names=None)
    write("ca", authority)
    write("broker", certificate("broker", authority))
    write("other-authority", certificate("broker", other))
    write("other-name", certificate("broker", authority, [x509.DNSName("kafka.example")]))
    write("expired", certificate("broker", authority, end=datetime.datetime(2021, 1, 1)))
    write("self-signed", certificate("broker"))
    write("client", certificate("client", authority, [x509.DNSName("client")]))
    write("client-renewed", certificate("client renewed", authority, [x509.DNSName("client")]))
    write("locked", certificate("client", authority, [x509.DNSName("client")]), b"opensesame")


if __name__ == "__main__":
    main()
