"""SIGTERM ends a server in time, whatever its callers or its own threads do.

A health stream that nobody ends, a call whose message never comes, an answer that
nobody reads: it drains and exits with 0. A scorer that never comes back: its
watchdog exits with 3.
"""

import os
import signal
import threading
import time

import trial  # finds the modules below

import grpc
import http2
from protos import health_grpc, health_pb
from stopped_thread import StoppedThread, find_thread, skip_where_forbidden

DRAIN_SECONDS = 1
FLAGS = (f"--drain_timeout={DRAIN_SECONDS}s",)
# What the watchdog adds; the rest is for a loaded machine.
MOST_SECONDS = DRAIN_SECONDS + 5 + 15
# Beyond what the server allows a call without news.
LONG_MILLIS = 3_600_000
RECOMMENDS = {"grpc_type": "unary", "grpc_method": "Recommend",
              "grpc_service": "neumf.v1.RecommendationService"}


def started(daemon):
    return daemon.metric("grpc_server_started_total", **RECOMMENDS)


def start_unread_call(daemon, request):
    """Its window is 0: there is an answer, and no way to send it."""
    connection = http2.Connection(daemon.addresses["grpc"],
                                  [(http2.INITIAL_WINDOW_SIZE, 0)])
    before = started(daemon)
    connection.call(1, http2.RECOMMEND, request.SerializeToString(), LONG_MILLIS)
    daemon.wait_until(lambda: started(daemon) == before + 1)
    return connection


def start_half_a_call(daemon):
    """The headers, and no message."""
    connection = http2.Connection(daemon.addresses["grpc"])
    connection.send(http2.frame(http2.HEADERS, http2.END_HEADERS, 1,
                                http2.request_headers()))
    return connection


def stop_with_stragglers():
    with trial.server(*FLAGS) as (daemon, request):
        watch = health_grpc.HealthStub(daemon.channel()).Watch(
            health_pb.HealthCheckRequest())
        next(watch)
        with start_unread_call(daemon, request), start_half_a_call(daemon):
            began = time.monotonic()
            daemon.stop()  # checks the exit code
            assert time.monotonic() - began < MOST_SECONDS
        assert daemon.events("drained")


def call_until_the_end(daemon, request, codes):
    try:
        daemon.recommendations().Recommend(request, timeout=60)
    except grpc.RpcError as error:
        codes.append(error.code())


def stop_with_a_stuck_scorer():
    codes = []
    with trial.server(*FLAGS) as (daemon, request):
        trial.answer(daemon, request)
        before = started(daemon)
        caller = threading.Thread(target=call_until_the_end,
                                  args=(daemon, request, codes))
        with StoppedThread(find_thread(daemon.pid, "batcher")) as batcher:
            caller.start()
            daemon.wait_until(lambda: started(daemon) == before + 1)
            os.kill(daemon.pid, signal.SIGTERM)
            batcher.wait_for_end(MOST_SECONDS)
        caller.join()
        assert daemon.wait_for_exit() == 3
        assert daemon.events("drain_abandoned")
    assert codes == [grpc.StatusCode.UNAVAILABLE], codes


def main():
    skip_where_forbidden()
    stop_with_stragglers()
    stop_with_a_stuck_scorer()


if __name__ == "__main__":
    main()
