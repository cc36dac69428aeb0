"""Versions change under load: no call fails, no answer mixes two versions."""

import tempfile
import threading
import unittest

import models
from answers import Truth
from daemon import Daemon
from protos import recommendation_pb as pb

NUM_CALLERS = 4
NUM_VERSIONS = 20
NUM_USERS = 16
K = 10
TIMEOUT = 20


class Caller(threading.Thread):
    """Asks for one user after the other until it is told to stop."""

    def __init__(self, stub, user_ids):
        super().__init__()
        self._stub = stub
        self._user_ids = user_ids
        self._stopping = threading.Event()
        self.answers = []  # (user row, response), in order
        self.error = None

    def run(self):
        try:
            while not self._stopping.is_set():
                row = len(self.answers) % len(self._user_ids)
                request = pb.RecommendRequest(user_id=self._user_ids[row], k=K)
                response = self._stub.Recommend(request, timeout=TIMEOUT)
                self.answers.append((row, response))
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def stop(self):
        self._stopping.set()
        self.join()


class HotSwapTest(unittest.TestCase):

    def test_every_answer_is_that_of_one_version(self):
        by_version = {
            str(version): models.random_model(
                seed=version, users=NUM_USERS, items=40 + version
            )
            for version in range(1, NUM_VERSIONS + 1)
        }
        with tempfile.TemporaryDirectory() as directory:
            by_version["1"].publish(directory, 1)
            with Daemon(directory) as daemon:
                callers = [
                    Caller(daemon.recommendations(), by_version["1"].user_ids)
                    for _ in range(NUM_CALLERS)
                ]
                self.publish_under_load(daemon, directory, by_version, callers)
        for caller in callers:
            self.check_caller(caller)
        self.check_answers(callers, by_version)

    def publish_under_load(self, daemon, directory, by_version, callers):
        for caller in callers:
            caller.start()
        try:
            for version, model in by_version.items():
                if version != "1":
                    model.publish(directory, version)
                self.wait_for_answers_of(daemon, version, callers)
        finally:
            for caller in callers:
                caller.stop()

    def wait_for_answers_of(self, daemon, version, callers):
        """Until every caller has met the version, or has failed."""
        daemon.wait_until(
            lambda: all(
                caller.error
                or (
                    caller.answers
                    and caller.answers[-1][1].model_version == version
                )
                for caller in callers
            )
        )

    def check_caller(self, caller):
        self.assertIsNone(caller.error)
        versions = [
            int(response.model_version) for _, response in caller.answers
        ]
        self.assertEqual(versions, sorted(versions), "a version went back")
        self.assertEqual(set(versions), set(range(1, NUM_VERSIONS + 1)))

    def check_answers(self, callers, by_version):
        """Each distinct answer once: they repeat a lot."""
        distinct = {
            (response.model_version, row, response.SerializeToString()): response
            for caller in callers
            for row, response in caller.answers
        }
        for (version, row, _), response in distinct.items():
            truth = Truth(by_version[version].checkpoint)
            with self.subTest(version=version, user=row):
                truth.of_user(row).check(self, response, K)
        # The same request on the same version gives the same bytes.
        self.assertEqual(
            len(distinct), len({(version, row) for version, row, _ in distinct})
        )


if __name__ == "__main__":
    unittest.main()
