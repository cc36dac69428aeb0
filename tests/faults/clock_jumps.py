"""The wall clock jumps by an hour, back and forth, or runs wild: nobody notices.

Deadlines and intervals are those of a clock that never jumps. No call expires too
early or lives on, new versions are found, and the server goes on to answer itself.
libfaketime moves the server's wall clock and leaves its monotonic one alone.
"""

import contextlib
import os
import pathlib
import sys
import tempfile
import time
import unittest.mock

import trial  # finds the modules below

import http2
import models
from daemon import Daemon
from protos import recommendation_pb as pb
from stopped_thread import StoppedThread, find_thread, skip_where_forbidden

LIBRARIES = list(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
SKIPPED = 77
HOUR = 3600
FLAGS = ("--poll_interval=100ms", "--self_probe_interval=100ms")
# To so many hours from the truth, which no pause of a machine comes near.
JUMPS = (1, -1, 1, 0)
# An hour in 36 seconds: between any two looks at the clock there is a jump.
RUNNING_WILD = "+0 x100"
NUM_CALLS = 1000 if trial.LONG else 100
STUCK_SECONDS = 2
REQUEST = pb.RecommendRequest(user_id="user-0", k=10)
EXPIRED = {"grpc_type": "unary", "grpc_method": "Recommend",
           "grpc_service": "neumf.v1.RecommendationService",
           "grpc_code": "DeadlineExceeded"}


class WallClock:
    """Of the servers that are started inside the block."""

    def __init__(self, folder):
        self._path = os.path.join(folder, "clock")
        self._num_settings = 0
        self.set("+0")
        self._patch = unittest.mock.patch.dict(os.environ, {
            "LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME_TIMESTAMP_FILE": self._path,
            "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})

    def __enter__(self):
        self._patch.start()
        return self

    def __exit__(self, *exception):
        self._patch.stop()

    def set(self, offset):
        """As libfaketime writes it, from now on."""
        with open(self._path + ".new", "w", encoding="utf-8") as file:
            file.write(offset + "\n")
        os.rename(self._path + ".new", self._path)

    def set_hours(self, hours):
        # A second more each time: libfaketime takes a text that it knows for no
        # news, though threads that met over it may have left half of the last.
        self._num_settings += 1
        self.set(f"{hours * HOUR + self._num_settings:+}")


class Server:

    def __init__(self, daemon, clock, checkpoints):
        self.daemon = daemon
        self.clock = clock
        self.checkpoints = checkpoints
        self.version = 1
        self.stub = daemon.recommendations()

    def call(self):
        return self.stub.Recommend(REQUEST, timeout=trial.CALL_SECONDS)

    def call_across(self, jump):
        for i in range(NUM_CALLS):
            if i == NUM_CALLS // 2:
                jump()
            self.call()

    def jump(self, hours):
        """Calls go on across it, and so does the rest."""
        self.call_across(lambda: self.clock.set_hours(hours))
        self.check_polls()
        return self.hours_off() == hours

    def run_wild(self):
        self.call_across(lambda: self.clock.set(RUNNING_WILD))
        self.check_polls()

    def check_polls(self):
        """A version that comes now is served."""
        probes = self.daemon.metric("neumf_self_probes_total")
        self.version += 1
        models.random_model(seed=self.version).publish(
            self.checkpoints, self.version)
        self.daemon.wait_until(
            lambda: self.call().model_version == str(self.version),
            trial.RECOVERY_SECONDS)
        self.daemon.wait_until(
            lambda: self.daemon.metric("neumf_self_probes_total") > probes + 1)

    def hours_off(self):
        """Of the wall clock when the served version was loaded."""
        loaded = self.daemon.metric("neumf_model_loaded_timestamp_seconds")
        return round((loaded - time.time()) / HOUR)

    def jump_while_stuck(self, hours):
        """A call that nobody answers ends at its deadline, not before or after."""
        expired = self.num_expired()
        with StoppedThread(find_thread(self.daemon.pid, "batcher")):
            # Of a client that leaves the deadline to the server.
            with http2.Connection(self.daemon.addresses["grpc"]) as client:
                began = time.monotonic()
                client.call(1, http2.RECOMMEND, REQUEST.SerializeToString(),
                            STUCK_SECONDS * 1000)
                self.daemon.wait_until(
                    lambda: self.daemon.metric("neumf_queue_users") == 1)
                self.clock.set_hours(hours)
                self.daemon.wait_until(lambda: self.num_expired() > expired)
                assert time.monotonic() - began >= STUCK_SECONDS
        self.call()

    def num_expired(self):
        return self.daemon.metric("grpc_server_handled_total", **EXPIRED)


def main():
    if not LIBRARIES:
        print("libfaketime is not installed")
        sys.exit(SKIPPED)
    skip_where_forbidden()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        checkpoints = stack.enter_context(tempfile.TemporaryDirectory())
        models.random_model(seed=1).publish(checkpoints, 1)
        clock = stack.enter_context(WallClock(folder))
        daemon = stack.enter_context(Daemon(checkpoints, *FLAGS))
        server = Server(daemon, clock, checkpoints)
        for hours in JUMPS:
            daemon.wait_until(lambda: server.jump(hours))
            server.jump_while_stuck(-hours)
        server.run_wild()


if __name__ == "__main__":
    main()
