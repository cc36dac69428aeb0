"""Certificates for tests, made by the openssl program.

    ca = Authority(folder, "ca")
    server = ca.issue("server", "DNS:localhost,IP:127.0.0.1")
    grpc.ssl_channel_credentials(read(ca.cert))
"""

import os
import socket
import ssl
import subprocess
from typing import NamedTuple

_CA_CONFIG = """
[ca]
default_ca = tests
[tests]
database = {folder}/index
new_certs_dir = {folder}
rand_serial = yes
unique_subject = no
policy = any
default_md = sha256
[any]
commonName = supplied
[leaf]
subjectAltName = {sans}
"""
_CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


class Pair(NamedTuple):
    """Paths of PEM files."""
    cert: str
    key: str


def read(path):
    with open(path, "rb") as file:
        return file.read()


def replace(path, content):
    """As rotation should: a reader meets the old or the new content."""
    with open(path + ".new", "wb") as file:
        file.write(content)
    os.rename(path + ".new", path)


def served_certificate(address):
    """The certificate, in DER, that a new connection gets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=20) as plain:
        with context.wrap_socket(plain) as tls:
            return tls.getpeercert(binary_form=True)


def in_der(pair):
    return ssl.PEM_cert_to_DER_cert(read(pair.cert).decode())


class Authority:
    """A CA with files of its own below `folder`."""

    def __init__(self, folder, name):
        self._folder = os.path.join(folder, name)
        os.mkdir(self._folder)
        self.cert = os.path.join(self._folder, "ca.pem")
        self._key = os.path.join(self._folder, "ca.key")
        open(os.path.join(self._folder, "index"), "w").close()
        _openssl("req", "-x509", *_CURVE, "-days", "2", "-subj", f"/CN={name}",
                 "-keyout", self._key, "-out", self.cert)

    def issue(self, name, sans, until="20990101000000Z"):
        """Returns the Pair of a certificate for `sans`."""
        pair = Pair(*(os.path.join(self._folder, f"{name}.{kind}")
                      for kind in ("pem", "key")))
        request = os.path.join(self._folder, f"{name}.csr")
        config = os.path.join(self._folder, f"{name}.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(_CA_CONFIG.format(folder=self._folder, sans=sans))
        _openssl("req", *_CURVE, "-subj", f"/CN={name}", "-keyout", pair.key,
                 "-out", request)
        _openssl("ca", "-batch", "-config", config, "-extensions", "leaf",
                 "-cert", self.cert, "-keyfile", self._key, "-in", request,
                 "-out", pair.cert, "-notext", "-startdate", "20200101000000Z",
                 "-enddate", until)
        return pair


def _openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
