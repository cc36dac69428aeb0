"""Who may call what, and a file of tokens that changes meanwhile."""

import base64
import hashlib
import os
import tempfile
import threading
import unittest
import urllib.error
import urllib.request

import paths  # noqa: F401

import grpc
import models
from certificates import Authority, read, replace
from daemon import Daemon, neumfctl, run_server
from protos import error_details, model_pb, recommendation_grpc
from protos import recommendation_pb as pb

TIMEOUT = 20
NUM_CALLERS = 3
NUM_FILES = 6

SHOP = "token-of-the-shop"
ANALYST = "token-of-the-analyst"
OPERATOR = "token-of-the-operator"
MONITOR = "token-of-the-monitor"


def line(token, name, rights):
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()} {name} {rights}\n"


FILE = (line(SHOP, "shop", "recommend")
        + line(ANALYST, "analyst", "recommend,recommend.seen")
        + line(OPERATOR, "operator", "models.read"))


def bearer(token):
    return (("authorization", f"Bearer {token}"),)


class TokensCase(unittest.TestCase):

    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.checkpoints = self.enterContext(tempfile.TemporaryDirectory())
        self.model = models.random_model(seed=1, users=8, items=30)
        self.model.publish(self.checkpoints, 1)
        self.tokens = os.path.join(self.folder, "tokens")
        replace(self.tokens, FILE.encode())

    def start(self, *more):
        return self.enterContext(Daemon(
            self.checkpoints, f"--auth_tokens_file={self.tokens}", *more))

    def request(self, **fields):
        return pb.RecommendRequest(user_id=self.model.user_ids[0], **fields)

    def assert_refused(self, code, reason, call):
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        error = caught.exception
        self.assertEqual(error.code(), code, error)
        info = error_details(error)["ErrorInfo"]
        self.assertEqual((info.reason, info.domain), (reason, "neumf"))
        self.assertNotIn("token-of", error.details())


class MetricsTest(TokensCase):

    def setUp(self):
        super().setUp()
        replace(self.tokens, (FILE + line(MONITOR, "monitor",
                                          "metrics.read")).encode())

    def scrape(self, daemon, *credentials):
        """The status and, where there is one, the text."""
        url = f'http://{daemon.addresses["metrics"]}/metrics'
        request = urllib.request.Request(url)
        if credentials:
            pair = base64.b64encode(":".join(credentials).encode()).decode()
            request.add_header("Authorization", f"Basic {pair}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            error.close()
            return error.code, ""

    def test_are_for_who_has_the_right(self):
        daemon = self.start("--metrics_auth")
        status, text = self.scrape(daemon, "monitor", MONITOR)
        self.assertEqual(status, 200)
        self.assertIn("neumf_live 1", text)
        for credentials in ((), ("monitor", ""), ("monitor", SHOP),
                            ("", MONITOR), ("shop", MONITOR), ("shop", SHOP)):
            self.assertEqual(self.scrape(daemon, *credentials), (401, ""))

    def test_a_token_that_is_taken_away_lets_nobody_in(self):
        daemon = self.start("--metrics_auth")
        replace(self.tokens, FILE.encode())
        daemon.wait_until(
            lambda: self.scrape(daemon, "monitor", MONITOR)[0] == 401)

    def test_are_for_everybody_unless_told_otherwise(self):
        self.assertEqual(self.scrape(self.start())[0], 200)

    def test_what_does_not_start(self):
        for reason, *flags in (
                ("needs --auth_tokens_file", "--metrics_auth"),
                ("--allow_insecure_tokens", "--metrics_auth",
                 f"--auth_tokens_file={self.tokens}",
                 "--allow_insecure_listen", "--metrics_listen=0.0.0.0:0")):
            result = run_server(self.checkpoints, *flags)
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn(reason, result.stderr)


class RightsTest(TokensCase):

    def setUp(self):
        super().setUp()
        self.daemon = self.start()
        self.stub = self.daemon.recommendations()

    def recommend(self, token, **fields):
        return self.stub.Recommend(self.request(**fields), timeout=TIMEOUT,
                                   metadata=bearer(token))

    def versions(self, *metadata):
        return self.daemon.models().ListModelVersions(
            model_pb.ListModelVersionsRequest(), timeout=TIMEOUT,
            metadata=metadata)

    def test_everybody_may_ask_for_health(self):
        self.assertEqual(self.daemon.health(), "SERVING")

    def test_nobody_else_gets_in_without_a_token_that_is_known(self):
        unauthenticated = grpc.StatusCode.UNAUTHENTICATED
        self.assert_refused(
            unauthenticated, "NO_CREDENTIALS",
            lambda: self.stub.Recommend(self.request(), timeout=TIMEOUT))
        self.assert_refused(unauthenticated, "NO_CREDENTIALS", self.versions)
        self.assert_refused(unauthenticated, "UNKNOWN_TOKEN",
                            lambda: self.recommend("token-of-a-stranger"))

    def test_a_caller_may_do_what_its_line_says_and_nothing_else(self):
        denied = grpc.StatusCode.PERMISSION_DENIED
        self.assertEqual(len(self.recommend(SHOP, k=3).items), 3)
        self.assertEqual(len(self.versions(*bearer(OPERATOR)).versions), 1)
        self.assert_refused(denied, "MISSING_RIGHT",
                            lambda: self.recommend(OPERATOR))
        self.assert_refused(denied, "MISSING_RIGHT",
                            lambda: self.versions(*bearer(SHOP)))

    def test_to_read_what_a_user_has_seen_is_a_right_of_its_own(self):
        for policy in (pb.SEEN_POLICY_KEEP, pb.SEEN_POLICY_ONLY):
            self.recommend(ANALYST, seen_policy=policy)
            self.assert_refused(
                grpc.StatusCode.PERMISSION_DENIED, "MISSING_RIGHT",
                lambda policy=policy: self.recommend(SHOP, seen_policy=policy))
        self.recommend(SHOP, seen_policy=pb.SEEN_POLICY_DROP)

    def test_a_batch_refuses_only_the_requests_that_lack_the_right(self):
        batch = pb.BatchRecommendRequest(requests=[
            self.request(), self.request(seen_policy=pb.SEEN_POLICY_KEEP)])
        results = self.stub.BatchRecommend(
            batch, timeout=TIMEOUT, metadata=bearer(SHOP)).results
        self.assertEqual(results[0].WhichOneof("result"), "response")
        self.assertEqual(results[1].error.code,
                         grpc.StatusCode.PERMISSION_DENIED.value[0])

    def test_no_token_reaches_log_or_metrics(self):
        with self.assertRaises(grpc.RpcError):
            self.recommend("token-of-a-stranger")
        self.recommend(SHOP)
        for text in (self.daemon.log(), self.daemon.metrics_text()):
            self.assertNotIn("token-of", text)

    def test_neumfctl_sends_the_token_of_a_file(self):
        file = os.path.join(self.folder, "mine")
        replace(file, f"{OPERATOR}\n".encode())
        arguments = ("versions", "--admin", self.daemon.addresses["admin"])
        self.assertEqual(neumfctl(*arguments).returncode, 1)
        listed = neumfctl(*arguments, "--token_file", file)
        self.assertEqual(listed.returncode, 0, listed.stderr)


class ReloadTest(TokensCase):

    def setUp(self):
        super().setUp()
        self.daemon = self.start()
        self.stub = self.daemon.recommendations()

    def reloads(self, name="neumf_config_reloads_total"):
        return self.daemon.metric(name, file="auth_tokens")

    def call(self, token):
        return self.stub.Recommend(self.request(), timeout=TIMEOUT,
                                   metadata=bearer(token))

    def test_a_file_that_is_replaced_under_load_fails_no_call(self):
        stopping = threading.Event()
        failures = []

        def ask():
            while not stopping.is_set() and not failures:
                try:
                    self.call(SHOP)
                except grpc.RpcError as error:
                    failures.append(error)

        callers = [threading.Thread(target=ask) for _ in range(NUM_CALLERS)]
        for caller in callers:
            caller.start()
        try:
            for number in range(1, NUM_FILES + 1):
                added = line(f"token-{number}", "guest", "recommend")
                replace(self.tokens, (FILE + added).encode())
                self.daemon.wait_until(lambda: self.reloads() == number)
                self.call(f"token-{number}")
        finally:
            stopping.set()
            for caller in callers:
                caller.join()
        self.assertEqual(failures, [])

    def test_a_token_that_was_taken_out_is_refused(self):
        replace(self.tokens, line(ANALYST, "analyst", "recommend").encode())
        self.daemon.wait_until(lambda: self.reloads() == 1)
        self.assert_refused(grpc.StatusCode.UNAUTHENTICATED, "UNKNOWN_TOKEN",
                            lambda: self.call(SHOP))
        self.call(ANALYST)

    def test_a_file_that_is_broken_or_gone_changes_nothing(self):
        failures = "neumf_config_reload_failures_total"
        replace(self.tokens, b"token-of-the-shop shop recommend\n")
        self.daemon.wait_until(lambda: self.reloads(failures) == 1)
        self.call(SHOP)
        os.remove(self.tokens)
        self.daemon.wait_until(lambda: self.reloads(failures) == 2)
        self.call(SHOP)
        in_force = "neumf_config_last_reload_successful"
        self.assertEqual(self.reloads(in_force), 0)
        # Metrics come first, lines of the log a moment later.
        refused = self.daemon.wait_until(
            lambda: self.daemon.events("config_refused"))
        self.assertIn("line 1", refused[0]["reason"])
        self.assertNotIn("token-of", self.daemon.log())
        replace(self.tokens, FILE.encode())
        self.daemon.wait_until(lambda: self.reloads(in_force) == 1)


class CertificateTest(TokensCase):

    def test_a_client_certificate_is_as_good_as_a_token(self):
        authority = Authority(self.folder, "ca")
        server = authority.issue("server", "DNS:localhost,IP:127.0.0.1")
        replace(self.tokens,
                (FILE + "san:web.example.com web recommend\n").encode())
        daemon = self.start(f"--tls_cert={server.cert}",
                            f"--tls_key={server.key}",
                            f"--tls_client_ca={authority.cert}")

        def ask(san, **fields):
            pair = authority.issue(san, f"DNS:{san}")
            credentials = grpc.ssl_channel_credentials(
                read(authority.cert), read(pair.key), read(pair.cert))
            with grpc.secure_channel(daemon.addresses["grpc"],
                                     credentials) as channel:
                stub = recommendation_grpc.RecommendationServiceStub(channel)
                return stub.Recommend(self.request(**fields), timeout=TIMEOUT)

        ask("web.example.com")
        denied = grpc.StatusCode.PERMISSION_DENIED
        self.assert_refused(
            denied, "MISSING_RIGHT",
            lambda: ask("web.example.com", seen_policy=pb.SEEN_POLICY_KEEP))
        self.assert_refused(denied, "UNKNOWN_CERTIFICATE",
                            lambda: ask("other.example.com"))


class StartTest(TokensCase):

    def assert_refuses(self, reason, *flags):
        result = run_server(self.checkpoints,
                            f"--auth_tokens_file={self.tokens}", *flags)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn(reason, result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)

    def test_a_broken_file_does_not_start(self):
        replace(self.tokens, b"# nobody\n")
        self.assert_refuses("--auth_tokens_file: there is no entry")

    def test_tokens_do_not_cross_a_network_in_plain_text_unless_allowed(self):
        insecure = ("--listen=0.0.0.0:0", "--allow_insecure_listen")
        self.assert_refuses("plain text", *insecure)
        self.start(*insecure, "--allow_insecure_tokens")


if __name__ == "__main__":
    unittest.main()
