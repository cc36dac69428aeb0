"""Calls, refusals, cancellations and reloads for long leave everything flat.

The short form proves the loop; the long one runs for ten minutes, and its second
half may hold little more than the first.
"""

import os
import tempfile
import time

import http2
import trial  # finds the modules below

import models
from daemon import Daemon
from protos import recommendation_pb as pb

SOAK_SECONDS = 600 if trial.LONG else 10
RELOAD_SECONDS = 1
# Between the middle and the end.
MOST_GROWTH_BYTES = 4 << 20 if trial.LONG else 32 << 20
KEPT_VERSIONS = 3

REQUEST = pb.RecommendRequest(user_id="user-0", k=10)
UNKNOWN = pb.RecommendRequest(user_id="nobody", k=10)


def one_round(daemon):
    """Callers who stay, who are wrong, and who leave."""
    trial.answer(daemon, REQUEST)
    with http2.Connection(daemon.addresses["grpc"]) as connection:
        for stream, request in ((1, REQUEST), (3, UNKNOWN), (5, REQUEST)):
            connection.call(stream, http2.RECOMMEND,
                            request.SerializeToString(), 1000)
        connection.send(http2.frame(http2.RST_STREAM, 0, 5, http2.CANCEL))


class Publisher:
    """A new version every second; old files go."""

    def __init__(self, directory):
        self._directory = directory
        self.version = 0
        self._next = time.monotonic()
        self.publish_if_due()

    def publish_if_due(self):
        if time.monotonic() < self._next:
            return
        self._next += RELOAD_SECONDS
        self.version += 1
        models.random_model(seed=1, items=500).publish(
            self._directory, self.version)
        old = os.path.join(self._directory,
                           f"{self.version - KEPT_VERSIONS}.safetensors")
        if os.path.exists(old):
            os.remove(old)


def soak(daemon, publisher, seconds):
    """What the server holds after it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        publisher.publish_if_due()
        one_round(daemon)
    daemon.wait_until(
        lambda: trial.answer(daemon, REQUEST).model_version ==
        str(publisher.version), trial.RECOVERY_SECONDS)
    daemon.wait_until(lambda: trial.Holdings(daemon).connections == 0)
    time.sleep(trial.COUNTING_SECONDS)
    return trial.Holdings(daemon)


def main():
    with tempfile.TemporaryDirectory() as directory:
        publisher = Publisher(directory)
        with Daemon(directory) as daemon:
            middle = soak(daemon, publisher, SOAK_SECONDS / 2)
            end = soak(daemon, publisher, SOAK_SECONDS / 2)
    print(middle, end, sep="\n")
    assert end.bytes <= middle.bytes + MOST_GROWTH_BYTES, (middle, end)
    assert end.descriptors <= middle.descriptors, (middle, end)
    assert end.threads <= middle.threads + trial.SPARE_THREADS, (middle, end)
    assert end.calls == 0, end


if __name__ == "__main__":
    main()
