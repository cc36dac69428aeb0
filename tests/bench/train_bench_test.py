#!/usr/bin/env python3
"""The contestants of bench/train_bench do what it says of them.

On random ids, so that no data set is needed; with PyTorch only where it is.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["NEUMF_SOURCE_DIR"])
OURS = pathlib.Path(os.environ["NEUMF_BIN_DIR"]).parent / "bench" / "train_contestant"
PEER = SOURCE / "bench" / "train_peer.py"
SMALL = ("--users=30", "--items=40", "--events=300", "--recipe=ncf-neumf8")

if not OURS.exists():
    print("skipped: this build has no train_contestant")
    sys.exit(77)


def talk(command, lines):
    """What a contestant says of itself and answers to each line."""
    done = subprocess.run(list(map(str, command)), input="".join(f"{line}\n" for line in lines),
                          capture_output=True, text=True, check=True)
    return list(map(json.loads, done.stdout.splitlines()))


class TrainContestant(unittest.TestCase):
    def test_a_window_is_an_epoch(self):
        about, *windows = talk([OURS, *SMALL], ["run"] * 3)
        self.assertEqual(about["train_events"], 300)
        self.assertEqual(about["batch_examples"], 51 * 5)
        self.assertEqual([window["examples"] for window in windows], [1500] * 3)
        self.assertEqual([len(window["losses"]) for window in windows], [6, 12, 18])
        self.assertLess(windows[-1]["loss"], windows[0]["loss"])

    def test_a_shorter_window_has_the_same_tables(self):
        whole, _ = talk([OURS, *SMALL], ["run"])
        about, window = talk([OURS, *SMALL, "--window_batches=2"], ["run"])
        self.assertEqual(window["examples"], 2 * 51 * 5)
        self.assertEqual(about["parameters"], whole["parameters"])

    def test_the_same_run_has_the_same_losses(self):
        first, second = (talk([OURS, *SMALL], ["run"])[1]["losses"] for _ in range(2))
        self.assertEqual(first, second)

    def test_no_request_is_no_failure(self):
        self.assertEqual(len(talk([OURS, *SMALL], [])), 1)

    def test_an_unknown_recipe_is_refused(self):
        done = subprocess.run([OURS, "--recipe=nothing"], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no recipe 'nothing'", done.stderr)


@unittest.skipIf(subprocess.run([sys.executable, "-c", "import torch"], capture_output=True,
                                check=False).returncode,
                 "python3-torch is missing; scripts/setup torch installs it")
class TrainPeer(unittest.TestCase):
    def same_losses(self, updates, optimizers, places):
        with tempfile.TemporaryDirectory() as folder:
            ours = talk([OURS, *SMALL, "--window_batches=5", f"--export={folder}",
                         f"--settings=batch_size=51 updates={updates}"], ["run"] * 4)
            checks = [f"check {optimizer} 20" for optimizer in optimizers]
            _, loaded, *theirs = talk([sys.executable, PEER, 1], [f"load {folder}", *checks])
        self.assertEqual(loaded["batches"], 20)
        for answer in theirs:
            for our_loss, their_loss in zip(ours[-1]["losses"], answer["losses"], strict=True):
                self.assertAlmostEqual(our_loss, their_loss, places)

    def test_dense_adam_does_the_same_work(self):
        self.same_losses("dense", ("adam", "adam-foreach"), places=5)

    def test_sparse_adam_does_the_same_work(self):
        self.same_losses("rows", ("sparse-adam",), places=3)


if __name__ == "__main__":
    unittest.main()
