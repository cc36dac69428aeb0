"""The request log, and what the log of events says about single calls."""

import hashlib
import json
import os
import tempfile
import unittest

import paths  # noqa: F401

import grpc
import models
from certificates import replace
from daemon import Daemon, neumfctl, run_server
from protos import recommendation_pb as pb

TIMEOUT = 20
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
SALT = "a secret of the operators"


class RequestLogCase(unittest.TestCase):

    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.checkpoints = self.enterContext(tempfile.TemporaryDirectory())
        self.model = models.random_model(seed=1, users=8, items=30)
        self.model.publish(self.checkpoints, 1)
        self.path = os.path.join(self.folder, "requests")

    def start(self, *flags, path=None, share="1"):
        self.daemon = self.enterContext(Daemon(
            self.checkpoints, f"--request_log={path or self.path}",
            f"--request_log_sample={share}", *flags))
        self.stub = self.daemon.recommendations()

    def ask(self, row=0, metadata=None, **fields):
        return self.stub.Recommend(
            pb.RecommendRequest(user_id=self.model.user_ids[row], **fields),
            timeout=TIMEOUT, metadata=metadata)

    def logged(self, result="written"):
        return self.daemon.metric("neumf_request_log_calls_total",
                                  result=result)

    def lines(self, count, path=None):
        """The `count` calls of the file in the order they came in.

        Lines are written when gRPC is done with a call, which is later than its
        answer.
        """
        self.daemon.wait_until(lambda: self.logged() >= count)
        with open(path or self.path, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        self.assertEqual(len(lines), count)
        return sorted(lines, key=lambda call: call["time"])


class ContentTest(RequestLogCase):

    def test_a_call_is_written_with_what_it_asked_and_how_it_ended(self):
        self.start("--request_log_plain_users")
        items = [item.item_id for item in self.ask(k=2).items]
        self.ask(k=3, exclude_item_ids=items, seen_policy=pb.SEEN_POLICY_KEEP,
                 metadata=(("traceparent", f"00-{TRACE}-{SPAN}-01"),))
        _, call = self.lines(2)
        self.assertEqual(call["recommend"], {
            "user_id": self.model.user_ids[0], "k": 3,
            "exclude_item_ids": items, "seen_policy": "SEEN_POLICY_KEEP"})
        self.assertEqual(call["code"], "OK")
        self.assertEqual(call["model_version"], "1")
        self.assertEqual((call["trace_id"], call["span_id"]), (TRACE, SPAN))
        self.assertLessEqual(float(call["timeout"].rstrip("s")), TIMEOUT + 1)
        self.assertGreater(float(call["duration"].rstrip("s")), 0)
        self.assertNotIn("users_hashed", call)

    def test_what_fails_is_written_too(self):
        self.start("--request_log_plain_users")
        for fields in ({"user_id": "nobody"}, {"user_id": "x", "k": -1}):
            with self.assertRaises(grpc.RpcError):
                self.stub.Recommend(pb.RecommendRequest(**fields),
                                    timeout=TIMEOUT)
        self.assertEqual([call["code"] for call in self.lines(2)],
                         ["NOT_FOUND", "INVALID_ARGUMENT"])

    def test_a_batch_is_one_line(self):
        self.start("--request_log_plain_users")
        users = self.model.user_ids[:3]
        self.stub.BatchRecommend(
            pb.BatchRecommendRequest(requests=[
                pb.RecommendRequest(user_id=user) for user in users]),
            timeout=TIMEOUT)
        call, = self.lines(1)
        self.assertEqual([request["user_id"] for request in
                          call["batch_recommend"]["requests"]], users)

    def test_the_caller_has_its_name(self):
        tokens = os.path.join(self.folder, "tokens")
        digest = hashlib.sha256(b"token-of-the-shop").hexdigest()
        replace(tokens, f"sha256:{digest} shop recommend\n".encode())
        self.start(f"--auth_tokens_file={tokens}")
        self.ask(metadata=(("authorization", "Bearer token-of-the-shop"),))
        self.assertEqual(self.lines(1)[0]["caller"], "shop")
        with open(self.path, encoding="utf-8") as file:
            self.assertNotIn("token-of", file.read())

    def test_a_malformed_traceparent_is_as_good_as_none(self):
        self.start()
        for value in ("", "00-x", f"00-{'0' * 32}-{SPAN}-01",
                      f"00-{TRACE.upper()}-{SPAN}-01"):
            self.ask(metadata=(("traceparent", value),))
        for call in self.lines(4):
            self.assertNotIn("trace_id", call)


class UsersTest(RequestLogCase):

    def hashed(self, user):
        salt = hashlib.sha256(SALT.encode()).digest()
        return hashlib.sha256(salt + user.encode()).hexdigest()[:32]

    def test_users_are_hashed_under_the_salt_of_a_file(self):
        salt = os.path.join(self.folder, "salt")
        replace(salt, f"{SALT}\n".encode())
        self.start(f"--request_log_salt_file={salt}")
        self.ask(row=1)
        call, = self.lines(1)
        self.assertTrue(call["users_hashed"])
        self.assertEqual(call["recommend"]["user_id"],
                         self.hashed(self.model.user_ids[1]))

    def test_without_a_file_the_salt_is_another_each_time(self):
        names = []
        for number in range(2):
            self.path = os.path.join(self.folder, f"requests-{number}")
            self.start()
            self.ask(row=1)
            self.ask(row=1)
            first, second = (call["recommend"]["user_id"]
                             for call in self.lines(2))
            self.assertEqual(first, second)
            names.append(first)
        self.assertNotEqual(*names)

    def test_a_salt_that_can_be_guessed_does_not_start(self):
        salt = os.path.join(self.folder, "salt")
        replace(salt, b"short\n")
        result = run_server(self.checkpoints, f"--request_log={self.path}",
                            f"--request_log_salt_file={salt}")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("--request_log_salt_file: the salt is shorter than 16",
                      result.stderr)


class FileTest(RequestLogCase):

    def test_a_share_of_the_calls_is_written(self):
        calls = 200
        self.start(share="0.1")
        for _ in range(calls):
            self.ask()
        self.daemon.stop()  # which writes what waits
        with open(self.path, encoding="utf-8") as file:
            count = len(file.readlines())
        # Which of them they are depends on their numbers alone.
        self.assertTrue(calls / 20 < count < calls / 5, count)

    def test_a_renamed_file_is_made_anew(self):
        self.start()
        self.ask()
        self.lines(1)
        os.rename(self.path, f"{self.path}.1")
        self.ask()
        self.daemon.wait_until(lambda: self.logged() == 2)
        for path in (self.path, f"{self.path}.1"):
            with open(path, encoding="utf-8") as file:
                self.assertEqual(len(file.readlines()), 1)

    def test_a_full_disk_costs_lines_and_nothing_else(self):
        self.assert_serves_without("/dev/full")

    def test_so_does_a_folder_that_is_not_there(self):
        path = os.path.join(self.folder, "later", "requests")
        self.assert_serves_without(path)
        os.mkdir(os.path.dirname(path))
        self.ask()
        self.lines(1, path)

    def assert_serves_without(self, path):
        calls = 20
        self.start(path=path)
        for _ in range(calls):
            self.assertEqual(len(self.ask(k=3).items), 3)
        self.daemon.wait_until(lambda: self.logged("failed") == calls)
        failed = self.daemon.wait_until(
            lambda: self.daemon.events("request_log_failed"))
        self.assertLess(len(failed), calls / 4)
        self.assertIn(path, failed[0]["reason"])


class ReplayTest(RequestLogCase):

    def setUp(self):
        super().setUp()
        self.salt = os.path.join(self.folder, "salt")
        replace(self.salt, f"{SALT}\n".encode())
        self.users = os.path.join(self.folder, "users")
        replace(self.users, "\n".join(self.model.user_ids).encode())

    def make_calls(self):
        """Eight calls about all users, one about nobody, and a batch."""
        excluded = [item.item_id for item in self.ask(k=2).items]
        for row in range(1, len(self.model.user_ids)):
            self.ask(row=row, k=3, exclude_item_ids=excluded)
        with self.assertRaises(grpc.RpcError):
            self.stub.Recommend(pb.RecommendRequest(user_id="nobody"),
                                timeout=TIMEOUT)
        self.stub.BatchRecommend(
            pb.BatchRecommendRequest(requests=[
                pb.RecommendRequest(user_id=user)
                for user in self.model.user_ids]), timeout=TIMEOUT)
        self.lines(10)

    def replay(self, *options):
        # How late the client is matters to times, and none is looked at here.
        return neumfctl("replay", "--server", self.daemon.addresses["grpc"],
                        "--log", f"{self.path}.1", "--max_lag", "60s",
                        "--deadline", "20s", *options)

    def record(self, *flags):
        """Calls that were written, and whose log has been put aside."""
        self.start(*flags)
        self.make_calls()
        os.rename(self.path, f"{self.path}.1")

    def requests(self, path):
        with open(path, encoding="utf-8") as file:
            calls = [json.loads(line) for line in file]
        return sorted(json.dumps([call.get("recommend"),
                                  call.get("batch_recommend"), call["code"]])
                      for call in calls)

    def test_the_same_calls_are_made_once_more_and_end_alike(self):
        self.record("--request_log_plain_users")
        replayed = self.replay("--speed", "0.2")
        self.assertEqual(replayed.returncode, 0, replayed.stderr)
        self.assertIn("codes: OK 9, NOT_FOUND 1\n", replayed.stdout)
        self.assertIn("in the log: NOT_FOUND 1, OK 9\n", replayed.stdout)
        self.daemon.wait_until(lambda: self.logged() == 20)
        self.assertEqual(self.requests(self.path),
                         self.requests(f"{self.path}.1"))

    def test_the_salt_makes_users_of_hashes(self):
        self.record(f"--request_log_salt_file={self.salt}")
        replayed = self.replay("--rate", "50", "--users", self.users,
                               "--salt_file", self.salt)
        self.assertEqual(replayed.returncode, 0, replayed.stderr)
        # Nobody knows the user of the call that failed.
        self.assertIn("codes: OK 9\n", replayed.stdout)
        self.assertIn("left out, as their users are not in --users: 1",
                      replayed.stdout)
        self.daemon.wait_until(lambda: self.logged() == 19)
        self.assertLess(set(self.requests(self.path)),
                        set(self.requests(f"{self.path}.1")))

    def test_without_it_hashes_become_any_users(self):
        self.record()
        replayed = self.replay("--rate", "50", "--users", self.users, "--json")
        self.assertEqual(replayed.returncode, 0, replayed.stderr)
        self.assertEqual(json.loads(replayed.stdout)["codes"], {"OK": 10})

    def test_says_what_hashes_need(self):
        self.record()
        refused = self.replay()
        self.assertEqual(refused.returncode, 1)
        self.assertIn("--salt_file FILE", refused.stderr)
        self.assertEqual(refused.stderr.count("\n"), 1, refused.stderr)


class CallLogTest(RequestLogCase):

    def test_a_call_that_took_long_is_an_event_with_its_trace(self):
        # Every call is slow, and those of the server to itself would count.
        self.start("--slow_call=1us", "--self_probe_interval=1h")
        self.ask(metadata=(("traceparent", f"00-{TRACE}-{SPAN}-00"),))
        event, = self.daemon.wait_until(lambda: self.daemon.events("call_slow"))
        self.assertEqual((event["method"], event["code"]), ("Recommend", "OK"))
        self.assertEqual((event["trace_id"], event["span_id"]), (TRACE, SPAN))
        for _ in range(50):
            self.ask()
        self.assertLess(len(self.daemon.events("call_slow")), 25)

    def test_a_call_that_the_server_failed_is_an_event_with_its_trace(self):
        with tempfile.TemporaryDirectory() as empty, \
                Daemon(empty, "--wait_for_checkpoint") as daemon:
            with self.assertRaises(grpc.RpcError):
                daemon.recommendations().Recommend(
                    pb.RecommendRequest(user_id="x"), timeout=TIMEOUT,
                    metadata=(("traceparent", f"00-{TRACE}-{SPAN}-00"),))
            event, = daemon.wait_until(lambda: daemon.events("call_failed"))
            self.assertEqual(event["code"], "UNAVAILABLE")
            self.assertEqual(event["trace_id"], TRACE)


if __name__ == "__main__":
    unittest.main()
