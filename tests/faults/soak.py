"""Calls, refusals, cancellations and reloads for long leave everything flat.

The short form proves the loop; the long one runs for ten minutes, and its second
half may hold little more than the first.
"""

import os
import tempfile
import time

import http2
import trial  # finds the modules below

import grpc
import models
from daemon import Daemon
from protos import recommendation_grpc, recommendation_pb as pb

SOAK_SECONDS = 600 if trial.LONG else 10
RELOAD_SECONDS = 1
# Between the middle and the end.
MOST_GROWTH_BYTES = 4 << 20 if trial.LONG else 32 << 20
KEPT_VERSIONS = 3

REQUEST = pb.RecommendRequest(user_id="user-0", k=10)
UNKNOWN = pb.RecommendRequest(user_id="nobody", k=10)
BATCH = pb.BatchRecommendRequest(requests=[REQUEST, UNKNOWN] * 50)
# Calls at once; the queue has room for fewer.
NUM_AT_ONCE = 50
FEW_PLACES = "--max_queue_users=2"
_CODES = {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE,
          grpc.StatusCode.DEADLINE_EXCEEDED}


def check(answered, known={}):  # pylint: disable=dangerous-default-value
    """A version gives the same answer every time."""
    expected = known.setdefault(answered.model_version, answered)
    assert answered == expected, (answered, expected)
    return answered


def answer(daemon):
    """As soon as there is room."""
    def once():
        try:
            return check(trial.answer(daemon, REQUEST))
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE, error
            return None
    return daemon.wait_until(once, trial.RECOVERY_SECONDS)


def one_round(daemon):
    """Callers who stay, who are wrong, who leave, and who are too many."""
    answer(daemon)
    with http2.Connection(daemon.addresses["grpc"]) as connection:
        for stream, request in ((1, REQUEST), (3, UNKNOWN), (5, REQUEST)):
            connection.call(stream, http2.RECOMMEND,
                            request.SerializeToString(), 1000)
        connection.send(http2.frame(http2.RST_STREAM, 0, 5, http2.CANCEL))
    crowd(daemon)


def crowd(daemon):
    """Batches and single calls, of which some find no room."""
    # A connection of its own, which is gone afterwards.
    with grpc.insecure_channel(
            daemon.addresses["grpc"],
            [("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = recommendation_grpc.RecommendationServiceStub(channel)
        calls = [stub.BatchRecommend.future(BATCH, timeout=trial.CALL_SECONDS)
                 for _ in range(NUM_AT_ONCE // 10)]
        calls += [stub.Recommend.future(REQUEST, timeout=trial.CALL_SECONDS)
                  for _ in range(NUM_AT_ONCE)]
        codes = {call.code() for call in calls}
    assert codes <= _CODES, codes


def num_refused(daemon):
    return sum(value for (name, _), value in daemon.metrics().items()
               if name == "neumf_requests_shed_total")


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
        # All of it is another, of another size: tables come and go.
        models.random_model(seed=self.version, items=500 + self.version % 2).publish(
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
        lambda: answer(daemon).model_version ==
        str(publisher.version), trial.RECOVERY_SECONDS)
    daemon.wait_until(lambda: trial.Holdings(daemon).connections == 0)
    time.sleep(trial.COUNTING_SECONDS)
    return trial.Holdings(daemon)


def main():
    with tempfile.TemporaryDirectory() as directory:
        publisher = Publisher(directory)
        with Daemon(directory, FEW_PLACES) as daemon:
            middle = soak(daemon, publisher, SOAK_SECONDS / 2)
            end = soak(daemon, publisher, SOAK_SECONDS / 2)
            assert num_refused(daemon) > 0
    print(middle, end, sep="\n")
    assert end.bytes <= middle.bytes + MOST_GROWTH_BYTES, (middle, end)
    assert end.descriptors <= middle.descriptors, (middle, end)
    assert end.threads <= middle.threads + trial.SPARE_THREADS, (middle, end)
    assert end.calls == 0, end


if __name__ == "__main__":
    main()
