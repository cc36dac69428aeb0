"""Takedowns and erasures: in no answer, under load, over swaps, from the start."""

import os
import tempfile
import threading
import unittest

import paths  # noqa: F401

import grpc
import models
from answers import Truth
from certificates import replace
from daemon import Daemon, run_server
from protos import recommendation_pb as pb

TIMEOUT = 20
USERS, ITEMS = 12, 60


class TakedownCase(unittest.TestCase):

    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.checkpoints = self.enterContext(tempfile.TemporaryDirectory())
        self.model = models.random_model(seed=1, users=USERS, items=ITEMS)
        self.model.publish(self.checkpoints, 1)
        self.items = os.path.join(self.folder, "items")
        self.users = os.path.join(self.folder, "users")
        self.block_items()
        self.block_users()
        self.flags = (f"--blocked_items_file={self.items}",
                      f"--blocked_users_file={self.users}")

    def block_items(self, *ids):
        self.write(self.items, ids)

    def block_users(self, *ids):
        self.write(self.users, ids)

    @staticmethod
    def write(path, ids):
        replace(path, ("# ids\n" + "".join(f"{i}\n" for i in ids)).encode())

    def start(self):
        self.daemon = self.enterContext(Daemon(self.checkpoints, *self.flags))
        self.stub = self.daemon.recommendations()

    def reloads(self, file):
        return self.daemon.metric("neumf_config_reloads_total", file=file)

    def wait_for_reload(self, file, change):
        before = self.reloads(file)
        change()
        self.daemon.wait_until(lambda: self.reloads(file) > before)

    def request(self, user_id, **fields):
        return pb.RecommendRequest(user_id=user_id, k=ITEMS, **fields)

    def ask(self, user_id, **fields):
        return self.stub.Recommend(self.request(user_id, **fields),
                                   timeout=TIMEOUT)

    def refusal(self, user_id):
        """All that a caller sees of an error but the id that it sent."""
        with self.assertRaises(grpc.RpcError) as caught:
            self.ask(user_id)
        error = caught.exception
        return error.code(), error.details(), error.trailing_metadata()


class AnswersTest(TakedownCase):

    def test_a_blocked_item_is_in_no_answer(self):
        blocked = [self.model.item_ids[row] for row in range(0, ITEMS, 7)]
        self.block_items(*blocked, "no-such-item")
        self.start()
        truth = Truth(self.model.checkpoint)
        for seen in ("drop", "keep", "only"):
            policy = pb.SeenPolicy.Value(f"SEEN_POLICY_{seen.upper()}")
            for row, user_id in enumerate(self.model.user_ids):
                answer = self.ask(user_id, seen_policy=policy)
                truth.of_user(row).check(self, answer, ITEMS, blocked, seen)
        batch = self.stub.BatchRecommend(pb.BatchRecommendRequest(requests=[
            self.request(user_id) for user_id in self.model.user_ids[:3]]),
            timeout=TIMEOUT)
        for row, result in enumerate(batch.results):
            truth.of_user(row).check(self, result.response, ITEMS, blocked)
        popular = self.ask("nobody",
                           unknown_user_policy=pb.UNKNOWN_USER_POLICY_POPULAR)
        self.assertEqual(popular.candidate_count, ITEMS - len(blocked))
        self.assertEqual({item.item_id for item in popular.items},
                         set(self.model.item_ids) - set(blocked))
        self.assertEqual(self.daemon.metric("neumf_blocked_items"),
                         len(blocked) + 1)

    def test_a_blocked_user_cannot_be_told_from_one_that_never_was(self):
        erased = self.model.user_ids[3]
        self.block_users(erased)
        self.start()
        self.assertEqual(self.refusal(erased), self.refusal("nobody"))
        self.assertEqual(self.refusal(erased)[0], grpc.StatusCode.NOT_FOUND)
        popular = {"unknown_user_policy": pb.UNKNOWN_USER_POLICY_POPULAR}
        self.assertEqual(self.ask(erased, **popular),
                         self.ask("nobody", **popular))
        self.assertEqual(self.ask(self.model.user_ids[2]).served_from,
                         pb.SERVED_FROM_MODEL)

    def test_files_are_replaced_while_it_runs(self):
        self.start()
        item, user = self.model.item_ids[1], self.model.user_ids[0]
        self.assertIn(item, [i.item_id for i in self.ask(user).items])
        self.wait_for_reload("blocked_items", lambda: self.block_items(item))
        self.assertNotIn(item, [i.item_id for i in self.ask(user).items])
        self.wait_for_reload("blocked_users", lambda: self.block_users(user))
        self.assertEqual(self.refusal(user), self.refusal("nobody"))
        self.wait_for_reload("blocked_items", self.block_items)
        self.wait_for_reload("blocked_users", self.block_users)
        self.assertIn(item, [i.item_id for i in self.ask(user).items])

    def test_a_broken_or_missing_file_leaves_the_old_one_in_force(self):
        item, user = self.model.item_ids[1], self.model.user_ids[0]
        self.block_items(item)
        self.start()
        for number, spoil in enumerate((
                lambda: replace(self.items, b"an id \n"),
                lambda: os.remove(self.items),
                lambda: replace(self.items, b"")), 1):
            spoil()
            self.daemon.wait_until(lambda: self.daemon.metric(
                "neumf_config_reload_failures_total",
                file="blocked_items") == number)
            self.assertNotIn(item, [i.item_id for i in self.ask(user).items])
        self.model.publish(self.checkpoints, 2)
        self.daemon.wait_until(lambda: self.ask(user).model_version == "2")
        self.assertNotIn(item, [i.item_id for i in self.ask(user).items])


class Caller(threading.Thread):
    """Asks about one user after the other until it is told to stop."""

    def __init__(self, case):
        super().__init__()
        self._case = case
        self._stopping = threading.Event()
        # What was blocked before a call has to be missing from its answer.
        self.blocked = frozenset()
        self.num_answers = 0
        self.error = None

    def run(self):
        try:
            while not self._stopping.is_set():
                blocked = self.blocked
                user = self._case.model.user_ids[self.num_answers % USERS]
                answer = self._case.ask(user)
                found = blocked & {item.item_id for item in answer.items}
                assert not found, f"{found} of {answer.model_version}"
                self.num_answers += 1
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def stop(self):
        self._stopping.set()
        self.join()


class LoadTest(TakedownCase):

    def test_no_call_fails_or_names_a_blocked_item_over_swaps(self):
        self.start()
        callers = [Caller(self) for _ in range(3)]
        for caller in callers:
            caller.start()
        try:
            for version in range(2, 9):
                self.change_both(version, callers)
                enough = [caller.num_answers + 5 for caller in callers]
                self.daemon.wait_until(lambda: all(
                    caller.error or caller.num_answers >= least
                    for caller, least in zip(callers, enough)))
        finally:
            for caller in callers:
                caller.stop()
        for caller in callers:
            self.assertIsNone(caller.error)

    def change_both(self, version, callers):
        """More items are blocked while a model with other rows is loaded."""
        ids = self.model.item_ids
        blocked = frozenset(ids[:version])
        other = models.random_model(seed=version, users=USERS, items=ITEMS,
                                    item_ids=ids[version:] + ids[:version])
        other.publish(self.checkpoints, version)
        self.wait_for_reload("blocked_items",
                             lambda: self.block_items(*blocked))
        for caller in callers:
            caller.blocked = blocked
        self.daemon.wait_until(
            lambda: self.ask(self.model.user_ids[0]).model_version
            == str(version))


class StartTest(TakedownCase):

    def test_a_server_does_not_start_without_its_takedowns(self):
        replace(self.users, b"user-1\r\n")
        result = run_server(self.checkpoints, *self.flags)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("--blocked_users_file: line 1: ", result.stderr)
        self.assertNotIn("user-1", result.stderr)
        os.remove(self.items)
        result = run_server(self.checkpoints, *self.flags)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("--blocked_items_file: ", result.stderr)


if __name__ == "__main__":
    unittest.main()
