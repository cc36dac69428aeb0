"""h2load, which knows HTTP/2 and not gRPC, gets every answer.

It counts the HTTP status, which is 200 for calls that fail, too: what became of
its calls is what the server counts.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

import integration  # noqa: F401

import models
from clients import RECOMMEND, WAIT_SECONDS
from daemon import Daemon
from protos import recommendation_pb as pb
from tools import need_program

NUM_CALLS = 2000
NUM_CONNECTIONS = 4
CALLS_AT_ONCE = 4  # of each connection; all of them fit into a batch


class H2loadTest(unittest.TestCase):

    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        directory = self.enterContext(tempfile.TemporaryDirectory())
        models.random_model(seed=1).publish(directory, 1)
        self.daemon = self.enterContext(Daemon(directory))

    def load(self, user_id):
        """The number of calls that succeeded, as h2load sees it."""
        message = pb.RecommendRequest(user_id=user_id).SerializeToString()
        path = os.path.join(self.folder, "body")
        with open(path, "wb") as file:
            # Not compressed, the length, the message.
            file.write(b"\0" + len(message).to_bytes(4, "big") + message)
        report = subprocess.run(
            ["h2load", f"--requests={NUM_CALLS}", f"--clients={NUM_CONNECTIONS}",
             f"--max-concurrent-streams={CALLS_AT_ONCE}", f"--data={path}",
             "--header=content-type: application/grpc", "--header=te: trailers",
             f'http://{self.daemon.addresses["grpc"]}{RECOMMEND}'],
            check=True, capture_output=True, text=True,
            timeout=WAIT_SECONDS).stdout
        return int(re.search(r"(\d+) succeeded, 0 failed, 0 errored", report)[1])

    def handled(self):
        """The number of calls by their codes, where there were any."""
        return {dict(labels)["grpc_code"]: value
                for (name, labels), value in self.daemon.metrics().items()
                if name == "grpc_server_handled_total" and value}

    def wait_for(self, **handled):
        self.daemon.wait_until(
            lambda: sum(self.handled().values()) >= sum(handled.values()))
        self.assertEqual(self.handled(), handled)

    def test_each_call_is_answered_once(self):
        self.assertEqual(self.load("user-0"), NUM_CALLS)
        self.wait_for(OK=NUM_CALLS)
        self.assertEqual(self.load("nobody"), NUM_CALLS)
        self.wait_for(OK=NUM_CALLS, NotFound=NUM_CALLS)


if __name__ == "__main__":
    need_program("h2load")
    sys.exit(unittest.main())
