"""A client that does not read its answers loses them soon after its deadlines.

Its HTTP/2 window is 0, so gRPC can send it no answer and would keep the calls
for as long as the connection lives.
"""

import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.environ["NEUMF_SOURCE_DIR"],
                                "tests", "integration"))

import paths  # noqa: E402,F401

import http2  # noqa: E402
import models  # noqa: E402
from daemon import Daemon  # noqa: E402
from protos import health_pb, recommendation_pb as pb, reflection_pb  # noqa: E402

NUM_CALLS = 5
DEADLINE_MILLIS = 1000
# The grace is a second; the rest is for a loaded machine.
MOST_SECONDS = 10
TIMEOUT = 20

WATCHES = {"grpc_type": "server_stream", "grpc_method": "Watch",
           "grpc_service": "grpc.health.v1.Health"}
QUESTIONS = {"grpc_type": "bidi_stream",
             "grpc_service": "grpc.reflection.v1.ServerReflection",
             "grpc_method": "ServerReflectionInfo"}
RECOMMENDS = {"grpc_type": "unary", "grpc_method": "Recommend",
              "grpc_service": "neumf.v1.RecommendationService"}


def start_calls(connection, request):
    """Recommends, and streams, whose messages nobody reads either."""
    for i in range(NUM_CALLS):
        connection.call(2 * i + 1, "/neumf.v1.RecommendationService/Recommend",
                        request.SerializeToString(), DEADLINE_MILLIS)
    connection.call(2 * NUM_CALLS + 1, "/grpc.health.v1.Health/Watch",
                    health_pb.HealthCheckRequest().SerializeToString(),
                    DEADLINE_MILLIS)
    connection.call(
        2 * NUM_CALLS + 3,
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        reflection_pb.ServerReflectionRequest(
            list_services="*").SerializeToString(),
        DEADLINE_MILLIS)


def check_others(daemon, request, is_over):
    """Another client is answered all the time, until `is_over()`."""
    stub = daemon.recommendations()
    deadline = time.monotonic() + MOST_SECONDS
    while not is_over():
        stub.Recommend(request, timeout=TIMEOUT)
        assert time.monotonic() < deadline, daemon.metrics_text()


def main():
    with tempfile.TemporaryDirectory() as directory:
        model = models.random_model(seed=1, users=20, items=50)
        model.publish(directory, 1)
        request = pb.RecommendRequest(user_id=model.user_ids[0], k=10)
        settings = [(http2.INITIAL_WINDOW_SIZE, 0)]
        with Daemon(directory) as daemon, http2.Connection(
                daemon.addresses["grpc"], settings) as connection:
            def sent():
                return daemon.metric("grpc_server_msg_sent_total", **RECOMMENDS)

            def ended(code, labels):
                return daemon.metric("grpc_server_handled_total",
                                     grpc_code=code, **labels)

            start_calls(connection, request)
            # Answered, as far as we are concerned, and not gone.
            daemon.wait_until(lambda: sent() == NUM_CALLS)
            assert daemon.metric("neumf_inflight_requests") == NUM_CALLS
            check_others(daemon, request, lambda: (
                ended("DeadlineExceeded", RECOMMENDS) == NUM_CALLS and
                ended("DeadlineExceeded", WATCHES) == 1 and
                ended("DeadlineExceeded", QUESTIONS) == 1))
            daemon.wait_until(
                lambda: daemon.metric("neumf_inflight_requests") == 0)
            frames = connection.frames_for(0.1)
    bodies = [entry for entry in frames
              if entry[0] == http2.DATA and not entry[1] & http2.END_STREAM]
    assert not bodies, frames


if __name__ == "__main__":
    main()
