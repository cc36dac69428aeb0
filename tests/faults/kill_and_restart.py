"""After kill -9 at any moment a new server has a valid version within 5 seconds.

Versions are published all the time, so that many kills meet a reload; versions
never go back, and every answer is that of the version that it names.
"""

import random
import tempfile
import threading
import time

import trial  # finds the modules below

import models
from daemon import Daemon
from protos import recommendation_pb as pb

NUM_KILLS = 500 if trial.LONG else 15
LONGEST_LIFE_SECONDS = 0.3
PUBLISHING_SECONDS = 0.05
K = 10


def model_of(version):
    return models.random_model(seed=version, users=5, items=3000)


class Publisher:
    """A new version again and again, in a thread of its own."""

    def __init__(self, directory):
        self._directory = directory
        self._stop = threading.Event()
        self._version = 0
        self._publish()
        self._thread = threading.Thread(target=self._run)

    def _publish(self):
        self._version += 1
        model_of(self._version).publish(self._directory, self._version)

    def _run(self):
        while not self._stop.wait(PUBLISHING_SECONDS):
            self._publish()

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def check(answer):
    """Item by item, against the model computed in Python."""
    version = int(answer.model_version)
    expected = model_of(version).probes(num_users=1, k=K)[0]["items"]
    assert len(answer.items) == len(expected)
    for item, probe in zip(answer.items, expected):
        assert item.item_id == probe["item_id"], (version, answer)
        assert abs(item.score - probe["score"]) < 1e-4, (version, answer)
    return version


def main():
    rng = random.Random(1)
    request = pb.RecommendRequest(user_id="user-0", k=K)
    version = 0
    with tempfile.TemporaryDirectory() as directory, Publisher(directory):
        for _ in range(NUM_KILLS):
            start = time.monotonic()
            with Daemon(directory) as daemon:
                answered = trial.answer(daemon, request)
                assert time.monotonic() - start < trial.RECOVERY_SECONDS
                newer = check(answered)
                assert newer >= version, (newer, version)
                time.sleep(rng.uniform(0, LONGEST_LIFE_SECONDS))
                version = check(trial.answer(daemon, request))
                assert version >= newer, (version, newer)
                daemon.kill()


if __name__ == "__main__":
    main()
