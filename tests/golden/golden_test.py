#!/usr/bin/env python3
"""The golden files are what their script makes, and the answers are right."""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support" / "python"))

import neumf_checkpoint as nc  # noqa: E402
import oracle  # noqa: E402


@contextlib.contextmanager
def working_folder():
    """A temporary folder that is the current one."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield pathlib.Path(folder)
        finally:
            os.chdir(before)


class DocumentationTest(unittest.TestCase):
    def test_example_writes_a_checkpoint(self):
        page = HERE.parent.parent / "docs" / "checkpoint_format.md"
        (code,) = re.findall("```python\n(.*?)```", page.read_text("utf-8"), re.S)
        names = {
            "user_vectors": np.ones((2, 3)),
            "item_vectors": np.arange(12).reshape(4, 3),
            "user_ids": ["ana", "zoë"],
            "item_ids": ["1", "2", "3", "4"],
        }
        with working_folder() as folder:
            (folder / "models").mkdir()
            exec(code, names)
            checkpoint = nc.read_checkpoint(folder / "models/1.safetensors")
        self.assertEqual(checkpoint.user_ids, ["ana", "zoë"])
        answer = oracle.expected_top_k(checkpoint, 0, 2)
        self.assertEqual(answer, [("4", 30.0), ("3", 21.0)])


class GoldenTest(unittest.TestCase):
    def setUp(self):
        self.checkpoint = nc.read_checkpoint(HERE / "format_v1.safetensors")
        self.expected = json.loads((HERE / "format_v1.json").read_text("utf-8"))

    def test_script_makes_the_same_files(self):
        with tempfile.TemporaryDirectory() as folder:
            script = [sys.executable, str(HERE / "make_golden.py"), folder]
            subprocess.run(script, check=True)
            for name in ("format_v1.safetensors", "format_v1.json"):
                made = (pathlib.Path(folder) / name).read_bytes()
                self.assertEqual(made, (HERE / name).read_bytes(), name)

    def test_expected_answers_are_the_oracles(self):
        for row, user_id in enumerate(self.checkpoint.user_ids):
            answer = self.expected["users"][user_id]
            wrong = oracle.explains(self.checkpoint, row, answer, 10)
            self.assertIsNone(wrong, user_id)

    def test_oracle_sees_what_is_wrong(self):
        answer = self.expected["users"][self.checkpoint.user_ids[0]]
        for damaged in (
            answer[:-1],
            answer[:1] + answer[:-1],
            answer[::-1],
            [[item_id, score + 0.01] for item_id, score in answer],
        ):
            self.assertIsNotNone(
                oracle.explains(self.checkpoint, 0, damaged, 10))

    def test_no_two_scores_are_closer_than_rounding(self):
        # Items 40 and 41 tie on purpose; all else float32 must tell apart.
        for row in range(len(self.checkpoint.user_ids)):
            values = np.delete(oracle.scores(self.checkpoint, row), 41)
            best = np.sort(values)[::-1][:40]
            self.assertGreater(np.min(-np.diff(best)), 2e-6)

    def test_what_python_writes_python_reads(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "1.safetensors"
            nc.write_checkpoint(path, self.checkpoint.tensors, chunk_bytes=100)
            copy = nc.read_checkpoint(path)
        self.assertEqual(copy.user_ids, self.checkpoint.user_ids)
        for name, array in self.checkpoint.tensors.items():
            np.testing.assert_array_equal(copy.tensors[name], array)


if __name__ == "__main__":
    unittest.main()
