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


def golden_files(folder):
    """Checkpoints and answers of every format version, as names in `folder`."""
    files = pathlib.Path(folder).rglob("*")
    return sorted(
        str(path.relative_to(folder))
        for path in files
        if path.suffix in (".safetensors", ".json")
    )


class GoldenTest(unittest.TestCase):
    def setUp(self):
        self.checkpoint = nc.read_checkpoint(HERE / "format_v1.safetensors")
        self.expected = json.loads((HERE / "format_v1.json").read_text("utf-8"))

    def test_script_makes_the_same_files(self):
        with tempfile.TemporaryDirectory() as folder:
            script = [sys.executable, str(HERE / "make_golden.py"), folder]
            subprocess.run(script, check=True)
            self.assertEqual(golden_files(folder), golden_files(HERE))
            for name in golden_files(HERE):
                made = (pathlib.Path(folder) / name).read_bytes()
                self.assertEqual(made, (HERE / name).read_bytes(), name)

    def test_expected_answers_are_the_oracles(self):
        for name in golden_files(HERE):
            if name.endswith(".safetensors"):
                self.expect_oracle_agrees(HERE / name)

    def expect_oracle_agrees(self, path):
        checkpoint = nc.read_checkpoint(path)
        expected = json.loads(path.with_suffix(".json").read_text("utf-8"))
        for row, user_id in enumerate(checkpoint.user_ids):
            answer = expected["users"][user_id]
            wrong = oracle.explains(checkpoint, row, answer, 10)
            self.assertIsNone(wrong, f"{path.name}: {user_id}")

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
        # Items 40 and 41 of one tie on purpose; all else float32 must tell apart.
        for name in golden_files(HERE):
            if not name.endswith(".safetensors"):
                continue
            checkpoint = nc.read_checkpoint(HERE / name)
            for row in range(len(checkpoint.user_ids)):
                values = oracle.scores(checkpoint, row)
                if name == "format_v1.safetensors":
                    values = np.delete(values, 41)
                best = np.sort(values)[::-1][:40]
                self.assertGreater(np.min(-np.diff(best)), 2e-6, name)

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
