"""What systemd hears of the program: a datagram socket stands in for it."""

import os
import socket
import tempfile
import unittest
import unittest.mock

import paths  # noqa: F401

import models
from daemon import Daemon, run_server

TIMEOUT = 60
WATCHDOG_MICROS = 2_000_000


class ServiceManagerTest(unittest.TestCase):

    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.checkpoints = self.enterContext(tempfile.TemporaryDirectory())
        self.manager = self.enterContext(
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.manager.settimeout(TIMEOUT)

    def listen(self, name, **more):
        """`name` as systemd gives it: a path, or '@' and an abstract name."""
        self.manager.bind(name.replace("@", "\0", 1))
        self.enterContext(unittest.mock.patch.dict(
            os.environ, {"NOTIFY_SOCKET": name, **more}))

    def publish(self, version):
        models.random_model(seed=1, users=8, items=30).publish(
            self.checkpoints, version)

    def hear_until(self, state):
        """All that is said up to `state`."""
        heard = []
        while not heard or heard[-1] != state:
            heard.append(self.manager.recv(4096).decode())
        return heard

    def test_tells_of_its_life(self):
        self.listen(f"{self.folder}/notify")
        self.publish(1)
        with Daemon(self.checkpoints):
            self.hear_until("READY=1")
            self.hear_until("STATUS=serving version 1")
            self.publish(2)
            self.hear_until("STATUS=serving version 2")
        self.assertNotIn("READY=1", self.hear_until("STOPPING=1"))

    def test_waits_for_a_checkpoint_in_an_abstract_name(self):
        self.listen(f"@neumf-test-{os.getpid()}")
        with Daemon(self.checkpoints, "--wait_for_checkpoint"):
            self.hear_until("READY=1")
            self.hear_until("STATUS=waiting for a checkpoint")

    def test_feeds_the_watchdog_that_it_is_given(self):
        self.listen(f"{self.folder}/notify",
                    WATCHDOG_USEC=str(WATCHDOG_MICROS))
        self.publish(1)
        with Daemon(self.checkpoints):
            for _ in range(3):
                self.hear_until("WATCHDOG=1")

    def test_leaves_the_watchdog_of_another_process_alone(self):
        self.listen(f"{self.folder}/notify", WATCHDOG_PID="1",
                    WATCHDOG_USEC="1000")
        self.publish(1)
        with Daemon(self.checkpoints):
            heard = self.hear_until("STATUS=serving version 1")
        self.assertNotIn("WATCHDOG=1", heard + self.hear_until("STOPPING=1"))

    def test_does_not_call_a_failed_start_ready(self):
        self.listen(f"{self.folder}/notify")
        self.assertEqual(run_server(self.checkpoints).returncode, 2)
        self.manager.setblocking(False)
        heard = []
        with self.assertRaises(BlockingIOError):
            while True:
                heard.append(self.manager.recv(4096).decode())
        self.assertNotIn("READY=1", heard)


if __name__ == "__main__":
    unittest.main()
