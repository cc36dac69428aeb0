"""MovieLens 100k from training to answers: every user against float64.

Trains the recipe d2l-neumf with neumf-train, or takes the checkpoint that
$NEUMF_ML100K_CHECKPOINT names. The data is looked for in $NEUMF_TEST_DATA/ml-100k
and is not needed with a checkpoint.
"""

import itertools
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import paths  # noqa: F401

import neumf_checkpoint
import numpy as np

from answers import Truth
from daemon import Daemon
from protos import recommendation_pb as pb

SKIPPED = 77
TIMEOUT = 60
TRAIN_SECONDS = 600
KS = (1, 10, 100, 1000)


def data_directory():
    source_dir = pathlib.Path(os.environ["NEUMF_SOURCE_DIR"])
    default = source_dir.parent / "shared" / "data"
    return pathlib.Path(os.environ.get("NEUMF_TEST_DATA", default)) / "ml-100k"


def trainer():
    return pathlib.Path(os.environ["NEUMF_BIN_DIR"]) / "neumf-train"


def reason_to_skip():
    if os.environ.get("NEUMF_ML100K_CHECKPOINT"):
        return None
    if not (data_directory() / "u.data").exists():
        return f"no MovieLens 100k in {data_directory()}: set NEUMF_TEST_DATA"
    if not trainer().exists():
        return "neumf-train is not built"
    return None


def make_checkpoint(directory):
    """Puts version 1 into `directory` and returns its path."""
    ready = os.environ.get("NEUMF_ML100K_CHECKPOINT")
    if ready:
        return shutil.copy(ready, os.path.join(directory, "1.safetensors"))
    command = [
        trainer(), "train", "--recipe", "d2l-neumf", "--format", "ml-100k",
        "--data", data_directory(), "--out", directory,
    ]
    output = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, timeout=TRAIN_SECONDS
    ).stdout.decode()
    return output.splitlines()[-1]


class MovieLensTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        path = make_checkpoint(directory)
        cls.checkpoint = neumf_checkpoint.read_checkpoint(path)
        cls.truth = Truth(cls.checkpoint)
        cls.daemon = cls.enterClassContext(Daemon(directory))
        cls.stub = cls.daemon.recommendations()

    def test_has_all_of_the_data(self):
        self.assertEqual(len(self.checkpoint.user_ids), 943)
        self.assertEqual(len(self.checkpoint.item_ids), 1682)

    def test_answers_every_user_as_float64_does(self):
        rng = np.random.default_rng(1)
        for row, user_id in enumerate(self.checkpoint.user_ids):
            expected = self.truth.of_user(row)
            some = rng.choice(self.checkpoint.item_ids, size=200).tolist()
            requests = [
                pb.RecommendRequest(
                    user_id=user_id, k=k, exclude_item_ids=excluded
                )
                for k, excluded in itertools.product(KS, ([], some))
            ]
            batch = self.stub.BatchRecommend(
                pb.BatchRecommendRequest(requests=requests), timeout=TIMEOUT
            )
            for request, result in zip(requests, batch.results):
                single = self.stub.Recommend(request, timeout=TIMEOUT)
                with self.subTest(user=user_id, k=request.k):
                    expected.check(
                        self, single, request.k, request.exclude_item_ids
                    )
                    self.assertEqual(
                        result.response.SerializeToString(),
                        single.SerializeToString(),
                    )

    def test_answers_all_users_in_one_batch(self):
        requests = [
            pb.RecommendRequest(user_id=user_id, k=10)
            for user_id in self.checkpoint.user_ids
        ]
        batch = self.stub.BatchRecommend(
            pb.BatchRecommendRequest(requests=requests), timeout=TIMEOUT
        )
        self.assertEqual(len(batch.results), len(requests))
        for row, result in enumerate(batch.results):
            self.truth.of_user(row).check(self, result.response, 10)


if __name__ == "__main__":
    REASON = reason_to_skip()
    if REASON:
        print(f"skipped: {REASON}")
        sys.exit(SKIPPED)
    unittest.main()
