"""A server whose accept loop or batcher stands still notices, and says so.

Nothing about the process looks wrong from outside then. Three of its probes of
itself fail: the log and a metric say so, and systemd's watchdog is not fed any
more. Once the thread goes on everything is as before.
"""

import contextlib
import os
import socket
import tempfile
import threading
import time
import unittest.mock

import trial  # finds the modules below

import grpc
from stopped_thread import StoppedThread, find_thread, skip_where_forbidden

PROBES = "--self_probe_interval=50ms"
# Feedings come four times as often.
WATCHDOG_MICROS = 1_000_000
# What was on its way then has come; and what is not fed for so long starves.
SENDING_SECONDS = 1
UNFED_SECONDS = 2


class Watchdog:
    """systemd's: counts how often it is fed."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self._thread = threading.Thread(target=self._run)
        self.num_feedings = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._socket.shutdown(socket.SHUT_RD)
        self._thread.join()
        self._socket.close()

    def _run(self):
        # All the time: a queue that is full holds up the sender.
        while state := self._socket.recv(4096):
            self.num_feedings += state == b"WATCHDOG=1"


def check_stall(daemon, request, watchdog, name):
    daemon.wait_until(lambda: watchdog.num_feedings > 0)
    expected = trial.answer(daemon, request)
    with StoppedThread(find_thread(daemon.pid, name)):
        if name == "batcher":
            fail_to_score(daemon, request)
        daemon.wait_until(lambda: daemon.metric("neumf_live") == 0)
        time.sleep(SENDING_SECONDS)
        fed = watchdog.num_feedings
        time.sleep(UNFED_SECONDS)
        assert watchdog.num_feedings == fed
    daemon.wait_until(lambda: daemon.events("self_probe_failed"))
    daemon.wait_until(lambda: daemon.metric("neumf_live") == 1 and
                      watchdog.num_feedings > fed, trial.RECOVERY_SECONDS)
    daemon.wait_until(lambda: daemon.events("self_probe_recovered"))
    assert trial.answer(daemon, request) == expected


def fail_to_score(daemon, request):
    """The call is held to its deadline; then health knows, too."""
    try:
        daemon.recommendations().Recommend(request, timeout=1)
        raise AssertionError("answered by nobody")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    daemon.wait_until(lambda: daemon.health() == "NOT_SERVING")


def check(daemon, request, watchdog, name, failures):
    try:
        check_stall(daemon, request, watchdog, name)
    except BaseException as error:
        failures.append(f"{name}: {error!r}")
        raise


def main():
    skip_where_forbidden()
    failures = []
    # At once: what has to pass is mostly time.
    checks = []
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        for name in ("accept", "batcher"):
            path = os.path.join(folder, name)
            watchdog = stack.enter_context(Watchdog(path))
            with unittest.mock.patch.dict(
                    os.environ, {"NOTIFY_SOCKET": path,
                                 "WATCHDOG_USEC": str(WATCHDOG_MICROS)}):
                daemon, request = stack.enter_context(trial.server(PROBES))
            checks.append(threading.Thread(
                target=check,
                args=(daemon, request, watchdog, name, failures)))
        for thread in checks:
            thread.start()
        for thread in checks:
            thread.join()
    assert not failures, failures


if __name__ == "__main__":
    main()
