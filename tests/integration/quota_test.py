"""Quotas: one caller beyond its own is refused, the others notice nothing."""

import hashlib
import os
import tempfile
import threading
import unittest

import paths  # noqa: F401

import grpc
import models
from certificates import replace
from daemon import Daemon, run_server
from protos import error_details
from protos import recommendation_pb as pb

TIMEOUT = 20
SHOP, REPORTS = "token-of-the-shop", "token-of-the-reports"
# So slow that no test lives to see another user flow in.
SLOW = 0.001
BURST = 20


def metadata(token):
    return (("authorization", f"Bearer {token}"),)


class QuotaCase(unittest.TestCase):

    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.checkpoints = self.enterContext(tempfile.TemporaryDirectory())
        self.model = models.random_model(seed=1, users=8, items=30)
        self.model.publish(self.checkpoints, 1)
        self.tokens = os.path.join(self.folder, "tokens")
        replace(self.tokens, "".join(
            f"sha256:{hashlib.sha256(token.encode()).hexdigest()} "
            f"{name} recommend\n"
            for token, name in ((SHOP, "shop"), (REPORTS, "reports"))).encode())
        self.quotas = os.path.join(self.folder, "quotas")

    def write(self, *lines):
        replace(self.quotas, "".join(f"{line}\n" for line in lines).encode())

    def start(self, *flags):
        self.daemon = self.enterContext(Daemon(
            self.checkpoints, f"--quota_file={self.quotas}", *flags))
        self.stub = self.daemon.recommendations()

    def request(self):
        return pb.RecommendRequest(user_id=self.model.user_ids[0], k=3)

    def ask(self, token=None):
        return self.stub.Recommend(
            self.request(), timeout=TIMEOUT,
            metadata=metadata(token) if token else None)

    def ask_batch(self, size, token):
        batch = pb.BatchRecommendRequest(requests=[self.request()] * size)
        return self.stub.BatchRecommend(batch, timeout=TIMEOUT,
                                        metadata=metadata(token))

    def shed(self):
        return self.daemon.metric("neumf_requests_shed_total", reason="quota")

    def assert_refused(self, subject, call):
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        error = caught.exception
        self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED, error)
        details = error_details(error)
        self.assertEqual(sorted(details), ["ErrorInfo", "QuotaFailure"])
        self.assertEqual(details["ErrorInfo"].reason, "QUOTA_EXCEEDED")
        violation, = details["QuotaFailure"].violations
        self.assertEqual(violation.subject, subject)
        trailers = dict(error.trailing_metadata())
        self.assertNotIn("grpc-retry-pushback-ms", trailers)


class CallersTest(QuotaCase):

    def start(self):
        super().start(f"--auth_tokens_file={self.tokens}")

    def test_a_caller_gets_its_burst_and_no_more(self):
        self.write(f"shop {SLOW} {BURST}")
        self.start()
        for _ in range(BURST):
            self.assertEqual(len(self.ask(SHOP).items), 3)
        self.assert_refused("caller:shop", lambda: self.ask(SHOP))
        self.assertEqual(self.shed(), 1)
        refusals = self.daemon.wait_until(
            lambda: self.daemon.events("quota_exceeded"))
        self.assertEqual(refusals[0]["caller"], "shop")

    def test_a_batch_costs_its_users(self):
        self.write(f"shop {SLOW} {BURST}")
        self.start()
        self.assertEqual(len(self.ask_batch(BURST - 5, SHOP).results), 15)
        self.assert_refused("caller:shop", lambda: self.ask_batch(6, SHOP))
        self.assertEqual(len(self.ask_batch(5, SHOP).results), 5)

    def test_others_are_answered_while_one_is_refused(self):
        self.write(f"shop {SLOW} {BURST}", "reports unlimited")
        self.start()
        stopping = threading.Event()
        codes = set()

        def flood():
            while not stopping.is_set():
                try:
                    self.ask(SHOP)
                except grpc.RpcError as error:
                    codes.add(error.code())

        flooder = threading.Thread(target=flood)
        flooder.start()
        try:
            self.daemon.wait_until(self.shed)
            for _ in range(5 * BURST):
                self.assertEqual(len(self.ask(REPORTS).items), 3)
        finally:
            stopping.set()
            flooder.join()
        self.assertEqual(codes, {grpc.StatusCode.RESOURCE_EXHAUSTED})

    def test_what_is_wrong_costs_nothing(self):
        self.write(f"shop {SLOW} 1")
        self.start()
        for _ in range(3):
            with self.assertRaises(grpc.RpcError) as caught:
                self.stub.Recommend(pb.RecommendRequest(), timeout=TIMEOUT,
                                    metadata=metadata(SHOP))
            self.assertEqual(caught.exception.code(),
                             grpc.StatusCode.INVALID_ARGUMENT)
        self.ask(SHOP)
        self.assert_refused("caller:shop", lambda: self.ask(SHOP))

    def test_a_call_that_finds_no_room_costs_nothing(self):
        # Each takes a while, and one waits at most.
        self.model = models.random_model(seed=1, items=50_000, tower=(64, 32))
        self.model.publish(self.checkpoints, 2)
        num_calls = 200
        self.write(f"shop {SLOW} {num_calls}")
        QuotaCase.start(self, f"--auth_tokens_file={self.tokens}",
                        "--max_queue_users=1")
        calls = [self.stub.Recommend.future(
            self.request(), timeout=TIMEOUT, metadata=metadata(SHOP))
            for _ in range(num_calls)]
        codes = [call.code() for call in calls]
        num_refused = codes.count(grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(
            codes.count(grpc.StatusCode.OK) + num_refused, num_calls, codes)
        self.assertGreater(num_refused, 0)
        while num_refused > 0:
            try:
                self.ask(SHOP)
                num_refused -= 1
            except grpc.RpcError as error:  # the queue of those before
                self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
        self.assert_refused("caller:shop", lambda: self.ask(SHOP))

    def test_a_changed_file_counts_and_a_broken_one_does_not(self):
        self.write(f"shop {SLOW} 1")
        self.start()
        self.ask(SHOP)
        self.assert_refused("caller:shop", lambda: self.ask(SHOP))
        self.write("shop many users")
        self.daemon.wait_until(lambda: self.daemon.metric(
            "neumf_config_reload_failures_total", file="quotas"))
        self.assert_refused("caller:shop", lambda: self.ask(SHOP))
        self.write("shop unlimited")
        self.daemon.wait_until(lambda: self.daemon.metric(
            "neumf_config_reloads_total", file="quotas"))
        for _ in range(BURST):
            self.ask(SHOP)


class WithoutTokensTest(QuotaCase):

    def test_callers_without_a_name_share_a_quota(self):
        self.write(f"* {SLOW} 2")
        self.start()
        self.ask()
        self.ask()
        self.assert_refused("caller:", self.ask)

    def test_a_broken_file_does_not_start(self):
        self.write("shop")
        result = run_server(self.checkpoints, f"--quota_file={self.quotas}")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("--quota_file: line 1: ", result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)


if __name__ == "__main__":
    unittest.main()
