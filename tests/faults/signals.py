"""One signal drains, a second one ends the server at once."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.environ["NEUMF_SOURCE_DIR"],
                                "tests", "integration"))

import paths  # noqa: E402,F401

import models  # noqa: E402

START_SECONDS = 60
# Far below the delays that are set below: what they would cost if they counted.
SOON_SECONDS = 20


class SignalsTest(unittest.TestCase):

    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        models.random_model(seed=1, users=20, items=50).publish(
            self.directory, 1)

    def start(self, *flags):
        """A server that is ready."""
        port_file = os.path.join(self.directory, "ports")
        server = subprocess.Popen([
            os.path.join(os.environ["NEUMF_BIN_DIR"], "neumf-server"),
            f"--checkpoint_dir={self.directory}", "--listen=127.0.0.1:0",
            "--metrics_listen=127.0.0.1:0", f"--port_file={port_file}",
            *flags], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(server.stderr.close)
        self.addCleanup(server.kill)
        deadline = time.monotonic() + START_SECONDS
        while not os.path.exists(port_file):
            self.assertIsNone(server.poll())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        return server

    def await_event(self, server, name):
        for line in server.stderr:
            if f"event={name}".encode() in line:
                return
        self.fail(f"no event {name}")

    def test_both_signals_drain(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            server = self.start()
            os.remove(os.path.join(self.directory, "ports"))
            server.send_signal(number)
            self.await_event(server, "drained")
            self.assertEqual(server.wait(SOON_SECONDS), 0)

    def test_a_second_signal_exits_at_once(self):
        server = self.start("--drain_delay=1h")
        server.send_signal(signal.SIGTERM)
        self.await_event(server, "drain_started")
        server.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(SOON_SECONDS), 3)


if __name__ == "__main__":
    unittest.main()
