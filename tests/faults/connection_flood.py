"""More connections than descriptors come and go; then new calls work.

gRPC 1.51 alone stops listening for ever at the first full descriptor table
(CVE-2023-4785). The server runs with 64 descriptors and gets floods of 150
connections on its data and its admin listener.
"""

import os
import resource
import socket
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["NEUMF_SOURCE_DIR"],
                                "tests", "integration"))

import paths  # noqa: E402,F401

import models  # noqa: E402
from daemon import Daemon  # noqa: E402
from protos import model_pb, recommendation_pb as pb  # noqa: E402

DESCRIPTORS = 64
CONNECTIONS = 150
CALLS = 5
TIMEOUT = 20


def flood(address):
    """Opens all connections at once, then closes them."""
    host, port = address.rsplit(":", 1)
    sockets = [socket.create_connection((host, int(port)), timeout=TIMEOUT)
               for _ in range(CONNECTIONS)]
    for connection in sockets:
        connection.close()


def call_data(daemon, user_id):
    answer = daemon.recommendations().Recommend(
        pb.RecommendRequest(user_id=user_id), timeout=TIMEOUT,
        wait_for_ready=True)
    assert answer.model_version == "1", answer


def call_admin(daemon, _):
    answer = daemon.models().ListModelVersions(
        model_pb.ListModelVersionsRequest(), timeout=TIMEOUT,
        wait_for_ready=True)
    assert len(answer.versions) == 1, answer


def main():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with tempfile.TemporaryDirectory() as directory:
        model = models.random_model(seed=1, users=20, items=50)
        model.publish(directory, 1)
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))
        with Daemon(directory) as daemon:
            resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
            for listener, call in (("grpc", call_data), ("admin", call_admin)):
                flood(daemon.addresses[listener])
                for _ in range(CALLS):
                    call(daemon, model.user_ids[0])
            assert daemon.metric("neumf_connections_refused_total",
                                 reason="total") > 0
            # The two floods are one burst: one line.
            events = daemon.wait_until(lambda: daemon.events("overloaded"))
            assert [event["reason"] for event in events] == ["connections"]
            daemon.wait_until(
                lambda: daemon.metric("neumf_connections") <= 2 * CALLS)


if __name__ == "__main__":
    main()
