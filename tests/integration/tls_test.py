"""TLS from outside: who gets in, and certificates that change meanwhile."""

import os
import tempfile
import unittest

import paths  # noqa: F401

import grpc
import models
from certificates import Authority, in_der, read, replace, served_certificate
from daemon import Daemon, neumfctl, run_server
from protos import model_pb, recommendation_grpc
from protos import recommendation_pb as pb

TIMEOUT = 20
SERVER_SANS = "DNS:localhost,IP:127.0.0.1"


class TlsCase(unittest.TestCase):
    """Files in a folder of their own, and a checkpoint to serve."""

    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.checkpoints = self.enterContext(tempfile.TemporaryDirectory())
        self.model = models.random_model(seed=1, users=8, items=30)
        self.model.publish(self.checkpoints, 1)
        self.ca = Authority(self.folder, "ca")
        self.pair = self.ca.issue("server", SERVER_SANS)

    def flags(self, *more):
        return (f"--tls_cert={self.pair.cert}", f"--tls_key={self.pair.key}",
                *more)

    def start(self, *more):
        return self.enterContext(Daemon(self.checkpoints, *self.flags(*more)))

    def ask(self, daemon, credentials):
        with grpc.secure_channel(daemon.addresses["grpc"],
                                 credentials) as channel:
            stub = recommendation_grpc.RecommendationServiceStub(channel)
            return stub.Recommend(
                pb.RecommendRequest(user_id=self.model.user_ids[0], k=3),
                timeout=TIMEOUT)

    def assert_asks(self, daemon, *credentials):
        answer = self.ask(daemon, grpc.ssl_channel_credentials(*credentials))
        self.assertEqual(len(answer.items), 3)

    def assert_locked_out(self, daemon, credentials):
        with self.assertRaises(grpc.RpcError) as caught:
            self.ask(daemon, credentials)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)


class TlsTest(TlsCase):

    def test_serves_both_listeners_over_tls_and_nobody_in_plain_text(self):
        daemon = self.start()
        self.assert_asks(daemon, read(self.ca.cert))
        with self.assertRaises(grpc.RpcError) as caught:
            daemon.models().ListModelVersions(
                model_pb.ListModelVersionsRequest(), timeout=TIMEOUT)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)
        listed = neumfctl("versions", "--admin", daemon.addresses["admin"],
                          "--tls_ca", self.ca.cert)
        self.assertEqual(listed.returncode, 0, listed.stderr)

    def test_a_client_that_trusts_another_ca_turns_away(self):
        daemon = self.start()
        other = Authority(self.folder, "other")
        self.assert_locked_out(
            daemon, grpc.ssl_channel_credentials(read(other.cert)))
        self.assert_asks(daemon, read(self.ca.cert))

    def test_neumfctl_asks_over_tls(self):
        daemon = self.start()
        answer = neumfctl(
            "recommend", "--server", daemon.addresses["grpc"], "--user",
            self.model.user_ids[0], "-k", "3", "--tls_ca", self.ca.cert)
        self.assertEqual(answer.returncode, 0, answer.stderr)

    def test_the_metric_says_when_the_certificate_expires(self):
        daemon = self.start()
        self.assertEqual(
            daemon.metric("neumf_tls_cert_not_after_timestamp_seconds"),
            4070908800)  # 2099-01-01


class MutualTlsTest(TlsCase):

    def setUp(self):
        super().setUp()
        self.clients = Authority(self.folder, "clients")
        self.daemon = self.start(f"--tls_client_ca={self.clients.cert}")

    def credentials(self, authority, **changes):
        pair = authority.issue("client", "DNS:web.example.com", **changes)
        return read(self.ca.cert), read(pair.key), read(pair.cert)

    def test_lets_clients_of_the_ca_in(self):
        self.assert_asks(self.daemon, *self.credentials(self.clients))

    def test_locks_everybody_else_out(self):
        stranger = Authority(self.folder, "stranger")
        for credentials in (
                (read(self.ca.cert),), self.credentials(stranger),
                self.credentials(self.clients, until="20210101000000Z")):
            self.assert_locked_out(
                self.daemon, grpc.ssl_channel_credentials(*credentials))

    def test_neumfctl_shows_a_certificate(self):
        pair = self.clients.issue("ops", "DNS:ops.example.com")
        health = neumfctl(
            "health", "--server", self.daemon.addresses["grpc"], "--tls_ca",
            self.ca.cert, "--tls_cert", pair.cert, "--tls_key", pair.key)
        self.assertEqual(health.stdout, "SERVING\n", health.stderr)


class RotationTest(TlsCase):

    def setUp(self):
        super().setUp()
        self.daemon = self.start()
        self.first = in_der(self.pair)

    def served(self):
        return served_certificate(self.daemon.addresses["grpc"])

    def in_force(self):
        return self.daemon.metric("neumf_config_last_reload_successful",
                                  file="tls")

    def put(self, pair):
        replace(self.pair.key, read(pair.key))
        replace(self.pair.cert, read(pair.cert))

    def assert_keeps_the_old_pair(self, reason):
        self.daemon.wait_until(lambda: self.in_force() == 0)
        self.assertEqual(self.served(), self.first)
        self.assert_asks(self.daemon, read(self.ca.cert))
        # Metrics come first, lines of the log a moment later.
        refused = self.daemon.wait_until(
            lambda: [event for event in self.daemon.events("config_refused")
                     if reason in event["reason"]])[-1]
        self.assertEqual(refused["file"], "tls")

    def test_new_connections_get_the_new_certificate_and_old_ones_go_on(self):
        with grpc.secure_channel(
                self.daemon.addresses["grpc"],
                grpc.ssl_channel_credentials(read(self.ca.cert))) as channel:
            stub = recommendation_grpc.RecommendationServiceStub(channel)
            request = pb.RecommendRequest(user_id=self.model.user_ids[0])
            stub.Recommend(request, timeout=TIMEOUT)
            self.assertEqual(self.served(), self.first)

            second = self.ca.issue("second", SERVER_SANS, "20980101000000Z")
            self.put(second)
            self.daemon.wait_until(lambda: self.served() == in_der(second))
            stub.Recommend(request, timeout=TIMEOUT)
        self.assert_asks(self.daemon, read(self.ca.cert))
        self.assertEqual(
            self.daemon.metric("neumf_tls_cert_not_after_timestamp_seconds"),
            4039372800)  # 2098-01-01

    def test_half_of_a_rotation_waits_for_the_other_half(self):
        second = self.ca.issue("second", SERVER_SANS)
        replace(self.pair.cert, read(second.cert))
        self.assert_keeps_the_old_pair("does not belong")
        replace(self.pair.key, read(second.key))
        self.daemon.wait_until(lambda: self.in_force() == 1)
        self.assertEqual(self.served(), in_der(second))

    def test_an_expired_certificate_does_not_replace_one_that_is_not(self):
        self.put(self.ca.issue("late", SERVER_SANS, "20210101000000Z"))
        self.assert_keeps_the_old_pair("expired")

    def test_garbage_does_not_replace_a_certificate(self):
        replace(self.pair.cert, b"-----BEGIN CERTIFICATE-----\nAAAA\n")
        self.assert_keeps_the_old_pair("no PEM")


class StartTest(TlsCase):
    """What does not start ends with exit code 1 and one line."""

    def assert_refuses(self, reason, *flags):
        result = run_server(self.checkpoints, *flags)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn(reason, result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertNotIn("PRIVATE", result.stderr)

    def test_flags_that_need_others(self):
        cert, key = self.flags()
        self.assert_refuses("--tls_cert: needs --tls_key", cert)
        self.assert_refuses("--tls_key: needs --tls_cert", key)
        self.assert_refuses("--tls_client_ca: needs",
                            f"--tls_client_ca={self.ca.cert}")

    def test_files_that_are_no_pair(self):
        other = self.ca.issue("other", SERVER_SANS)
        cert, _ = self.flags()
        self.assert_refuses("does not belong", cert, f"--tls_key={other.key}")
        self.assert_refuses("no PEM private key", cert,
                            f"--tls_key={other.cert}")
        self.assert_refuses("No such file", cert,
                            f"--tls_key={self.folder}/missing")

    def test_a_certificate_that_has_expired(self):
        self.pair = self.ca.issue("late", SERVER_SANS, "20210101000000Z")
        self.assert_refuses("has expired", *self.flags())

    def test_a_file_that_was_met_half_copied(self):
        cert, key = self.flags()
        bundle = os.path.join(self.folder, "bundle")
        later = read(Authority(self.folder, "later").cert)
        text = "a certificate after the first is torn"
        for torn in (later[:len(later) // 2], later[:30],
                     b"-----BEGIN CERTIFICATE-----", b"-----BEGIN CER",
                     b"-----BEGIN CER\n", b"--",
                     later.replace(b"\n-----END", b"")):
            replace(bundle, read(self.ca.cert) + torn)
            self.assert_refuses(f"--tls_client_ca: {text}", cert, key,
                                f"--tls_client_ca={bundle}")
            replace(bundle, read(self.pair.cert) + torn)
            self.assert_refuses(f"--tls_cert: {text}", f"--tls_cert={bundle}",
                                key)
        replace(bundle, read(self.ca.cert) + b"# two of them\n" + later)
        with Daemon(self.checkpoints, cert, key, f"--tls_client_ca={bundle}"):
            pass

    def test_plain_text_beyond_this_machine(self):
        self.assert_refuses("nothing is encrypted", "--listen=0.0.0.0:0")
        with Daemon(self.checkpoints, *self.flags(), "--listen=0.0.0.0:0"):
            pass


if __name__ == "__main__":
    unittest.main()
