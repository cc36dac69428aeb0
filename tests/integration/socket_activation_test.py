"""Sockets that systemd passes: the test opens them and stands in for it."""

import contextlib
import fcntl
import functools
import os
import select
import socket
import subprocess
import sys
import tempfile
import unittest

import paths  # noqa: F401

import grpc
import models
from daemon import START_SECONDS, Daemon
from protos import (health_grpc, health_pb, recommendation_grpc,
                    recommendation_pb as pb)

PATIENCE = 60
FIRST = 3
# Copies up there are in the way of none that is passed.
HIGH = 100
# Of the process that becomes the program.
BECOME = f"""
import os, sys
copies = [int(copy) for copy in sys.argv[1].split(",") if copy]
for number, copy in enumerate(copies, {FIRST}):
    os.dup2(copy, number)
    os.close(copy)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def start(sockets, command, variables=(), **options):
    """As subprocess.Popen(); `sockets` are pairs of a name and a socket."""
    environment = {**os.environ, "LISTEN_FDS": str(len(sockets)),
                   "LISTEN_FDNAMES": ":".join(name for name, _ in sockets),
                   **dict(variables)}
    copies = [fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, HIGH)
              for _, opened in sockets]
    try:
        return subprocess.Popen(
            [sys.executable, "-c", BECOME, ",".join(map(str, copies)), *command],
            env=environment, pass_fds=copies, **options)
    finally:
        for copy in copies:
            os.close(copy)


def listening(address=("127.0.0.1", 0), family=socket.AF_INET):
    opened = socket.socket(family)
    opened.bind(address)
    opened.listen()
    return opened


def text_of(opened):
    host, port = opened.getsockname()
    return f"{host}:{port}"


class SocketActivationTest(unittest.TestCase):

    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.checkpoints = self.enterContext(tempfile.TemporaryDirectory())
        self.model = models.random_model(seed=1, users=8, items=30)
        self.model.publish(self.checkpoints, 1)

    def daemon(self, *sockets, **variables):
        return Daemon(self.checkpoints, start=functools.partial(
            start, sockets, variables=variables))

    @contextlib.contextmanager
    def waiting_call(self, opened):
        """A channel that nobody has accepted yet, and a call on it."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(text_of(opened), options) as channel:
            call = health_grpc.HealthStub(channel).Check.future(
                health_pb.HealthCheckRequest(), timeout=PATIENCE,
                wait_for_ready=True)
            readable, _, _ = select.select([opened], [], [], PATIENCE)
            self.assertTrue(readable)
            yield channel, call

    def recommend(self, channel):
        return recommendation_grpc.RecommendationServiceStub(channel).Recommend(
            pb.RecommendRequest(user_id=self.model.user_ids[0], k=3),
            timeout=PATIENCE)

    def test_who_connects_before_the_start_and_between_two_is_answered(self):
        opened = self.enterContext(listening())
        for _ in range(2):
            with self.waiting_call(opened) as (channel, call):
                self.assertFalse(call.done())
                with self.daemon(("grpc", opened)) as daemon:
                    self.assertEqual(daemon.addresses["grpc"], text_of(opened))
                    call.result()  # raises unless it was answered
                    self.assertEqual(len(self.recommend(channel).items), 3)

    def test_both_are_taken_by_their_names(self):
        path = f"{self.folder}/admin"
        admin = self.enterContext(listening(path, socket.AF_UNIX))
        data = self.enterContext(listening())
        with self.daemon(("admin", admin), ("grpc", data)) as daemon:
            self.assertEqual(daemon.addresses["grpc"], text_of(data))
            self.assertEqual(daemon.addresses["admin"], f"unix:{path}")
        self.assertTrue(os.path.exists(path))  # it is not the server's

    def test_without_names_the_first_is_grpc(self):
        opened = self.enterContext(listening())
        with self.daemon(("", opened)) as daemon:
            self.assertEqual(daemon.addresses["grpc"], text_of(opened))

    def test_those_of_another_process_are_left_alone(self):
        opened = self.enterContext(listening())
        with self.daemon(("grpc", opened), LISTEN_PID="1") as daemon:
            self.assertNotEqual(daemon.addresses["grpc"], text_of(opened))

    def assert_refused(self, sockets, reason, **variables):
        program = os.path.join(os.environ["NEUMF_BIN_DIR"], "neumf-server")
        process = start(
            sockets,
            [program, f"--checkpoint_dir={self.checkpoints}", "--device=cpu",
             "--metrics_listen=127.0.0.1:0"],
            variables, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)
        errors = process.communicate(timeout=START_SECONDS)[1]
        self.assertEqual(process.returncode, 1)
        self.assertTrue(errors.startswith(f"neumf-server: {reason}"), errors)
        self.assertEqual(errors.count("\n"), 1, errors)

    def test_what_does_not_listen_is_refused(self):
        with socket.socket() as silent, open(os.devnull, "rb") as file:
            for opened in (silent, file):
                self.assert_refused([("grpc", opened)],
                                    "LISTEN_FDS: descriptor 3 (grpc) is no "
                                    "listening stream socket")

    def test_a_number_that_is_closed_is_refused(self):
        self.assert_refused([], "LISTEN_FDS: descriptor 3 (grpc) is not open",
                            LISTEN_FDS="1")

    def test_names_that_fit_nothing_are_refused(self):
        one, other = (self.enterContext(listening()) for _ in range(2))
        self.assert_refused([("neumf-server.socket", one)], "LISTEN_FDNAMES: ")
        self.assert_refused([("grpc", one), ("grpc", other)],
                            "LISTEN_FDNAMES: two sockets are named grpc")

    def test_an_open_socket_needs_what_an_open_address_needs(self):
        opened = self.enterContext(listening(("0.0.0.0", 0)))
        self.assert_refused([("grpc", opened)],
                            "the socket passed for --listen: other machines")


if __name__ == "__main__":
    unittest.main()
