"""Signed checkpoints by the programs: keys and one check of OpenSSL's own."""

import base64
import os
import subprocess
import tempfile
import unittest

import paths  # noqa: F401

import models
from daemon import Daemon, neumfctl


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class SignatureTest(unittest.TestCase):
    def setUp(self):
        self.keys = self.enterContext(tempfile.TemporaryDirectory())
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        self.key, self.public_key = self.make_keys("ours")
        self.model = models.random_model(seed=1, users=20, items=50)

    def make_keys(self, name):
        key = os.path.join(self.keys, f"{name}.pem")
        public_key = os.path.join(self.keys, f"{name}.pub.pem")
        openssl("genpkey", "-algorithm", "ed25519", "-out", key)
        openssl("pkey", "-in", key, "-pubout", "-out", public_key)
        return key, public_key

    def publish(self, version):
        self.model.publish(self.directory, version)
        return os.path.join(self.directory, f"{version}.safetensors")

    def assert_fails(self, code, *arguments):
        result = neumfctl(*arguments)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(code, result.stderr)

    def sign(self, path):
        result = neumfctl("checkpoint", "sign", path, "--signing_key", self.key)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, f"{path}.sig\n")

    def verify(self, path, public_key):
        return neumfctl("checkpoint", "verify", path, "--public_key", public_key)

    def test_openssl_verifies_the_text_that_is_documented(self):
        path = self.publish(7)
        self.sign(path)
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = file.read(length)
        names = {name: os.path.join(self.keys, name)
                 for name in ("header", "text", "signature")}
        with open(names["header"], "wb") as file:
            file.write(header)
        digest = subprocess.run(["sha256sum", names["header"]], check=True,
                                capture_output=True, text=True).stdout.split()[0]
        with open(names["text"], "w", encoding="ascii") as file:
            file.write(f"neumf checkpoint 7 {digest}\n")
        with open(f"{path}.sig", "rb") as file:
            signature = base64.b64decode(file.read())
        with open(names["signature"], "wb") as file:
            file.write(signature)
        openssl("pkeyutl", "-verify", "-pubin", "-inkey", self.public_key,
                "-rawin", "-in", names["text"], "-sigfile", names["signature"])

    def test_ctl_tells_who_signed(self):
        path = self.publish(1)
        _, other_key = self.make_keys("other")
        self.assert_fails("PERMISSION_DENIED", "checkpoint", "verify", path,
                          "--public_key", self.public_key)
        self.sign(path)
        self.assertEqual(self.verify(path, self.public_key).returncode, 0)
        self.assert_fails("PERMISSION_DENIED", "checkpoint", "verify", path,
                          "--public_key", other_key)
        self.assertEqual(neumfctl("checkpoint", "verify", path).returncode, 0)

    def test_ctl_signs_no_damaged_file_and_none_without_a_number(self):
        path = self.publish(1)
        with open(path, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            last = file.read(1)
            file.seek(-1, os.SEEK_END)
            file.write(bytes([last[0] ^ 1]))
        self.assert_fails("DATA_LOSS", "checkpoint", "sign", path,
                          "--signing_key", self.key)
        self.assertFalse(os.path.exists(f"{path}.sig"))
        unnamed = os.path.join(self.directory, "model.safetensors")
        os.rename(self.publish(2), unnamed)
        self.assert_fails("INVALID_ARGUMENT", "checkpoint", "sign", unnamed,
                          "--signing_key", self.key)

    def test_server_serves_what_is_signed(self):
        self.sign(self.publish(1))
        with Daemon(self.directory, "--checkpoint_public_key",
                    self.public_key) as daemon:
            path = self.publish(2)
            daemon.wait_until(lambda: daemon.metric(
                "neumf_reload_total", result="bad_signature") == 1)
            self.assertEqual(daemon.metric("neumf_reload_total", result="ok"), 1)
            self.sign(path)
            daemon.wait_until(lambda: daemon.metric(
                "neumf_reload_total", result="ok") == 2)


if __name__ == "__main__":
    unittest.main()
