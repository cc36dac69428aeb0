"""/metrics over TLS: who is believed, what is refused, and a rotation."""

import base64
import hashlib
import os
import socket
import ssl
import tempfile
import unittest
import urllib.error
import urllib.request

import paths  # noqa: F401

import models
from certificates import Authority, in_der, read, replace, served_certificate
from daemon import Daemon, run_server

TIMEOUT = 20
SANS = "DNS:localhost,IP:127.0.0.1,IP:::1"


def _has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


class MetricsTlsTest(unittest.TestCase):

    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.checkpoints = self.enterContext(tempfile.TemporaryDirectory())
        models.random_model(seed=1, users=8, items=30).publish(
            self.checkpoints, 1)
        self.authority = Authority(self.folder, "ca")
        self.pair = self.authority.issue("server", SANS)
        self.flags = (f"--tls_cert={self.pair.cert}",
                      f"--tls_key={self.pair.key}", "--metrics_tls")

    def start(self, *more):
        return self.enterContext(Daemon(self.checkpoints, *self.flags, *more))

    def get(self, address, ca, path="/metrics", headers=()):
        context = ssl.create_default_context(cafile=ca)
        request = urllib.request.Request(f"https://{address}{path}",
                                         headers=dict(headers))
        with urllib.request.urlopen(request, context=context,
                                    timeout=TIMEOUT) as response:
            return response.read().decode()

    def test_who_trusts_the_ca_can_scrape(self):
        daemon = self.start()
        address = daemon.addresses["metrics"]
        self.assertIn("neumf_build_info",
                      self.get(address, self.authority.cert))
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.get(address, self.authority.cert, "/")
        caught.exception.close()
        self.assertEqual(caught.exception.code, 404)

    def test_the_client_finds_a_certificate_of_another_ca(self):
        daemon = self.start()
        other = Authority(self.folder, "other")
        with self.assertRaises(urllib.error.URLError) as caught:
            self.get(daemon.addresses["metrics"], other.cert)
        self.assertIsInstance(caught.exception.reason,
                              ssl.SSLCertVerificationError)

    def test_plain_text_and_old_versions_are_not_answered(self):
        daemon = self.start()
        address = daemon.addresses["metrics"]
        # As an error or by hanging up.
        with self.assertRaises(OSError):
            urllib.request.urlopen(f"http://{address}/metrics", timeout=TIMEOUT)
        context = ssl.create_default_context(cafile=self.authority.cert)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises(OSError):
            urllib.request.urlopen(f"https://{address}/metrics",
                                   context=context, timeout=TIMEOUT)
        self.get(address, self.authority.cert)

    def test_a_rotated_pair_counts_from_the_next_connection_on(self):
        daemon = self.start()
        address = daemon.addresses["metrics"]
        self.assertEqual(served_certificate(address), in_der(self.pair))
        fresh = self.authority.issue("fresh", SANS)
        replace(self.pair.key, read(fresh.key))
        replace(self.pair.cert, read(fresh.cert))
        daemon.wait_until(lambda: served_certificate(address) == in_der(fresh))
        self.get(address, self.authority.cert)

    def test_asks_for_a_password_that_other_machines_may_show(self):
        tokens = os.path.join(self.folder, "tokens")
        digest = hashlib.sha256(b"secret").hexdigest()
        with open(tokens, "w", encoding="utf-8") as file:
            file.write(f"sha256:{digest} monitor metrics.read\n")
        daemon = self.start(f"--auth_tokens_file={tokens}", "--metrics_auth",
                            "--metrics_listen=0.0.0.0:0")
        port = daemon.addresses["metrics"].rsplit(":", 1)[1]

        def get(password):
            pair = base64.b64encode(f"monitor:{password}".encode()).decode()
            return self.get(f"127.0.0.1:{port}", self.authority.cert,
                            headers={"Authorization": f"Basic {pair}"})

        self.assertIn("neumf_live", get("secret"))
        with self.assertRaises(urllib.error.HTTPError) as caught:
            get("guess")
        caught.exception.close()
        self.assertEqual(caught.exception.code, 401)

    def test_handshakes_that_never_end_do_not_hold_up_a_scrape(self):
        daemon = self.start()
        address = daemon.addresses["metrics"]
        host, port = address.rsplit(":", 1)
        # The first bytes of a record that announces more than comes.
        for start in [b"", b"\x16\x03\x01\x02\x00\x01"] * 60:
            peer = self.enterContext(
                socket.create_connection((host, int(port)), timeout=TIMEOUT))
            peer.sendall(start)
        self.assertIn("neumf_live", self.get(address, self.authority.cert))

    @unittest.skipUnless(_has_ipv6(), "this machine has no IPv6")
    def test_serves_over_ipv6(self):
        daemon = self.start("--metrics_listen=[::1]:0")
        self.assertIn("[::1]", daemon.addresses["metrics"])
        self.get(daemon.addresses["metrics"], self.authority.cert)

    def test_other_machines_may_reach_it(self):
        daemon = self.start("--metrics_listen=0.0.0.0:0")
        port = daemon.addresses["metrics"].rsplit(":", 1)[1]
        self.get(f"127.0.0.1:{port}", self.authority.cert)

    def test_the_gRPC_listeners_ask_for_certificates_of_clients_alone(self):
        daemon = self.start(f"--tls_client_ca={self.authority.cert}")
        self.get(daemon.addresses["metrics"], self.authority.cert)


class StartTest(unittest.TestCase):

    def test_does_not_start_without_a_certificate(self):
        with tempfile.TemporaryDirectory() as directory:
            result = run_server(directory, "--metrics_tls")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(
            result.stderr,
            "neumf-server: --metrics_tls: needs --tls_cert and --tls_key\n")


if __name__ == "__main__":
    unittest.main()
