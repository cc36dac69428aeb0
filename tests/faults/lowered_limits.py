"""A server whose limits are lowered while it runs refuses, and then recovers.

Too few descriptors: new connections fail, those that are there are served. Too
little memory: a new version is refused, the old one is served.
"""

import contextlib
import resource
import tempfile
import time

import http2
import trial  # finds the modules below

import models
from daemon import Daemon
from protos import recommendation_pb as pb

NUM_CONNECTIONS = 100
SPARE_DESCRIPTORS = 6
# The server tries to accept again every 20 ms.
STARVED_SECONDS = 1
# Room for requests, and not for the new version.
SPARE_BYTES = 64 << 20
LARGE_ITEMS = 400_000

REQUEST = pb.RecommendRequest(user_id="user-0", k=10)


@contextlib.contextmanager
def lowered(daemon, kind, most):
    """As privileged neighbours, containers and systemd do it."""
    soft, hard = resource.prlimit(daemon.pid, kind)
    resource.prlimit(daemon.pid, kind, (int(most), hard))
    try:
        yield
    finally:
        resource.prlimit(daemon.pid, kind, (soft, hard))


def starve_of_descriptors(daemon):
    held = daemon.metric("process_open_fds")
    with lowered(daemon, resource.RLIMIT_NOFILE, held + SPARE_DESCRIPTORS):
        peers = [http2.connect(daemon.addresses["grpc"])
                 for _ in range(NUM_CONNECTIONS)]
        time.sleep(STARVED_SECONDS)
    # Metrics cannot be had without a descriptor either, so this comes later.
    assert daemon.metric("neumf_accept_errors_total") > 0
    for peer in peers:
        peer.close()


def starve_of_memory(daemon, directory, large):
    held = daemon.metric("process_virtual_memory_bytes")
    with lowered(daemon, resource.RLIMIT_AS, held + SPARE_BYTES):
        models.publish_bytes(directory, 2, large)
        refusal = daemon.wait_until(
            lambda: daemon.events("checkpoint_refused"))[0]
        assert refusal["version"] == "2", refusal


def main():
    large = models.random_model(
        seed=2, items=LARGE_ITEMS, tower=(64, 8), seen=False).file_bytes()
    with tempfile.TemporaryDirectory() as directory:
        models.random_model(seed=1).publish(directory, 1)
        with Daemon(directory) as daemon:
            with trial.survived(daemon, REQUEST):
                starve_of_descriptors(daemon)
            with trial.survived(daemon, REQUEST):
                starve_of_memory(daemon, directory, large)
            models.random_model(seed=3).publish(directory, 3)
            daemon.wait_until(
                lambda: trial.answer(daemon, REQUEST).model_version == "3",
                trial.RECOVERY_SECONDS)


if __name__ == "__main__":
    main()
