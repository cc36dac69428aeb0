#!/usr/bin/env python3
"""neumf-train under torchrun: a worker is killed, torchrun starts all of them
again, and the run goes on from its state to the parameters of a run that
nobody disturbed."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = pathlib.Path(os.environ["NEUMF_BIN_DIR"]) / "neumf-train"
EPOCHS = 60

if shutil.which("torchrun") is None:
    print("skipped: torchrun is missing; scripts/setup torch installs it")
    sys.exit(77)


def write_data(directory):
    lines = []
    for user in range(1, 61):
        for event in range(8):
            item = (user * 7 + event * event * 3) % 80 + 1
            lines.append(f"{user}\t{item}\t4\t{event}\n")
    (directory / "u.data").write_text("".join(lines))


class TorchrunTest(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.directory = pathlib.Path(self.scratch.name)
        write_data(self.directory)

    def tearDown(self):
        self.scratch.cleanup()

    def start(self, name):
        # Debian 12's torchrun does not survive its own default of --redirects
        # and --tee.
        command = [
            "torchrun", "--nproc_per_node=2", "--max_restarts=1",
            "--monitor_interval=0.1", "--rdzv_backend=c10d",
            "--rdzv_endpoint=localhost:0",
            f"--log_dir={self.directory / name / 'log'}",
            "--redirects=1", "--tee=2", "--no_python", PROGRAM,
            "train", f"--data={self.directory}", "--format=ml-100k",
            "--factors=4", "--hidden=6-4", "--batch_size=8",
            f"--epochs={EPOCHS}",
            f"--out={self.directory / name / 'checkpoints'}",
            f"--state={self.directory / name / 'state'}",
        ]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def log(self, name):
        files = sorted((self.directory / name).glob("log/*/*/*/stderr.log"))
        return "".join(file.read_text() for file in files)

    def finish(self, process, name):
        """The parameters' digest, once for each process that came to its end."""
        self.assertEqual(process.wait(timeout=120), 0, self.log(name))
        published = list((self.directory / name / "checkpoints").iterdir())
        self.assertEqual([file.name for file in published],
                         ["1.safetensors"])
        return re.findall(r"of 2: parameters (\w+)", self.log(name))

    def test_restarts_go_on(self):
        process = self.start("undisturbed")
        expected = self.finish(process, "undisturbed")
        self.assertEqual(len(expected), 2)
        self.assertEqual(len(set(expected)), 1)

        process = self.start("killed")
        deadline = time.monotonic() + 60
        while "epoch 3/" not in self.log("killed"):
            self.assertLess(time.monotonic(), deadline, self.log("killed"))
            time.sleep(0.01)
        tasks = pathlib.Path(f"/proc/{process.pid}/task")
        children = "".join(path.read_text()
                           for path in tasks.glob("*/children")).split()
        workers = [int(pid) for pid in children if
                   os.readlink(f"/proc/{pid}/exe") == str(PROGRAM.resolve())]
        os.kill(workers[-1], signal.SIGKILL)
        self.assertEqual(self.finish(process, "killed"), expected)
        self.assertIn("going on with neumf after epoch", self.log("killed"))


if __name__ == "__main__":
    unittest.main()
