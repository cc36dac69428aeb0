"""A server, a caller who does nothing wrong, and what must hold of both.

    with trial.server() as (daemon, request):
        with trial.survived(daemon, request):
            ... the fault ...

The block fails unless the other caller got the right answer to every call, a new
caller is answered soon after it, and the server has given back what it took.
Scripts run a short form; with NEUMF_FAULTS_LONG=1 what takes minutes.
"""

import contextlib
import os
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.environ["NEUMF_SOURCE_DIR"],
                                "tests", "integration"))

import paths  # noqa: E402,F401

import grpc  # noqa: E402
import models  # noqa: E402
from daemon import Daemon  # noqa: E402
from protos import recommendation_grpc, recommendation_pb as pb  # noqa: E402

LONG = os.environ.get("NEUMF_FAULTS_LONG") == "1"
RECOVERY_SECONDS = 5
# A call that takes so long has failed, whatever the machine is busy with.
CALL_SECONDS = 5
MOST_GROWTH_BYTES = int(os.environ.get("NEUMF_FAULTS_GROWTH_MIB", 64)) << 20
# gRPC starts and ends some of its own as it likes; a leak is one a peer.
SPARE_THREADS = 10
# The server counts its descriptors once a second.
COUNTING_SECONDS = 1.1


@contextlib.contextmanager
def server(*flags, **model_options):
    """A daemon that serves a small model, and a request that it can answer."""
    with tempfile.TemporaryDirectory() as directory:
        model = models.random_model(seed=1, **model_options)
        model.publish(directory, 1)
        with Daemon(directory, *flags) as daemon:
            yield daemon, pb.RecommendRequest(user_id=model.user_ids[0], k=10)


def answer(daemon, request):
    """Of a caller with a connection of its own."""
    # Channels share connections, unless their arguments differ.
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(daemon.addresses["grpc"], options) as channel:
        return recommendation_grpc.RecommendationServiceStub(channel).Recommend(
            request, timeout=CALL_SECONDS, wait_for_ready=True)


class Bystander:
    """Calls one after the other, from another thread, and checks the answers."""

    def __init__(self, daemon, request):
        self._stub = daemon.recommendations()
        self._request = request
        self._expected = self._call()
        self._stop = threading.Event()
        self._failure = None
        self.num_answers = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _call(self):
        return self._stub.Recommend(self._request, timeout=CALL_SECONDS)

    def _run(self):
        try:
            while not self._stop.wait(0.005):
                answered = self._call()
                assert answered == self._expected, answered
                self.num_answers += 1
        except (grpc.RpcError, AssertionError) as error:
            self._failure = error

    def stop(self):
        self._stop.set()
        self._thread.join()
        if self._failure:
            raise self._failure


@contextlib.contextmanager
def same_items(daemon, request):
    """A caller who gets the same items in every answer until the block ends,
    of whichever version."""
    stub = daemon.recommendations()

    def items():
        return list(stub.Recommend(request, timeout=CALL_SECONDS).items)

    expected = items()
    stop = threading.Event()
    failures = []

    def call():
        try:
            while not stop.wait(0.01):
                assert items() == expected
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    try:
        yield
    finally:
        stop.set()
        caller.join()
    assert not failures, failures


class Holdings:
    """What a server holds on to."""

    def __init__(self, daemon):
        series = daemon.metrics()

        def value(name):
            return series[name, frozenset()]

        self.descriptors = value("process_open_fds")
        self.threads = value("process_threads")
        self.bytes = value("process_resident_memory_bytes")
        self.calls = value("neumf_inflight_requests")
        self.connections = value("neumf_connections")

    def is_back_at(self, before):
        return (self.descriptors <= before.descriptors and
                self.threads <= before.threads + SPARE_THREADS and
                self.bytes <= before.bytes + MOST_GROWTH_BYTES and
                self.connections <= before.connections and self.calls == 0)

    def __str__(self):
        return str(vars(self))


@contextlib.contextmanager
def restored(daemon, request, ask=answer):
    """The block leaves nothing behind, and a new caller is answered after it.

    `ask` is what a new caller does."""
    num_connections = Holdings(daemon).connections
    for _ in range(20):  # so that threads and pools are there
        expected = ask(daemon, request)
    daemon.wait_until(
        lambda: Holdings(daemon).connections <= num_connections)
    time.sleep(COUNTING_SECONDS)
    before = Holdings(daemon)
    yield
    ended = time.monotonic()
    assert ask(daemon, request) == expected
    try:
        daemon.wait_until(lambda: Holdings(daemon).is_back_at(before),
                          ended + RECOVERY_SECONDS - time.monotonic())
    except AssertionError as error:
        raise AssertionError(f"was {before}, is {Holdings(daemon)}") from error


@contextlib.contextmanager
def survived(daemon, request):
    """restored(), and another caller is served until the end of the block."""
    bystander = Bystander(daemon, request)
    try:
        with restored(daemon, request):
            yield
            bystander.stop()
    finally:
        bystander.stop()
    assert bystander.num_answers > 0
