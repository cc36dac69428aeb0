"""bench/gpu/run: what it makes of figures, and of steps that fail or hang."""

import importlib.machinery
import importlib.util
import os
import pathlib
import sys
import tempfile
import time
import unittest

SOURCE_DIR = pathlib.Path(os.environ["NEUMF_SOURCE_DIR"])


def load(path):
    """A script without an ending as a module."""
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader("gpu_run", str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("gpu_run", loader))
    sys.modules["gpu_run"] = module
    loader.exec_module(module)
    return module


run = load(SOURCE_DIR / "bench" / "gpu" / "run")


def rows(figures):
    return {goal.title: run.row_of(goal, figures) for goal in run.goals()}


class TableTest(unittest.TestCase):
    def test_says_what_was_not_run(self):
        self.assertTrue(all(row.endswith("| not run |") for row in rows({}).values()))

    def test_committed_table_has_every_row(self):
        text = (SOURCE_DIR / "bench" / "results" / "gpu.md").read_text(encoding="utf-8")
        for goal in run.goals():
            self.assertIn(f"| {goal.title} | {goal.floor} | {goal.goal} |", text)

    def test_compares_with_pytorch_and_with_floors(self):
        name = "gpu.A.1m.k100.b256."
        figures = {name + "pairs_per_second": {"value": 100e9, "device_pairs_per_second": 160e9},
                   name + "torch_split_bfloat16": {"value": 5e9}}
        table = rows(figures)
        self.assertIn("| 100 G pairs/s (**below the floor**) |", table["tower A, 1m items, 256 users"])
        self.assertIn("| 160 G pairs/s |", table["tower A, the same on the device alone"])
        self.assertIn("| 20 x |", table[
            "tower A against PyTorch, folded first layer and topk, bfloat16"])

    def test_one_model_with_another_item_is_no_success(self):
        figures = {"gpu.same_items.a": {"value": 1.0}, "gpu.same_items.b": {"value": 0.999}}
        row = rows(figures)["same items and scores as the CPU, bit for bit"]
        self.assertIn("99.9000% (**below the floor**)", row)

    def test_slower_than_the_floor_is_marked(self):
        row = rows({"gpu.A.1m.k100.b1.device_us": {"value": 81.0}})
        self.assertIn("81 us (**below", row["tower A, 1m items, one user, time on the device"])


class StepsTest(unittest.TestCase):
    def session(self, budget=60.0):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name)
        return run.Session(path, time.monotonic() + budget, True, path)

    def result(self, *command, seconds=30.0, budget=60.0):
        session = self.session(budget)
        step = run.Step("step", list(command), seconds)
        session.run(step)
        return session, step

    def test_takes_figures_from_what_is_said(self):
        session, step = self.result("echo", '{"name": "a", "value": 2, "unit": "x"}')
        self.assertEqual(session.figures["a"]["value"], 2)
        self.assertFalse(step.failed)

    def test_records_a_failure_and_what_came_before(self):
        session, step = self.result("sh", "-c", """echo '{"name": "a", "value": 2, "unit": "x"}'; exit 3""")
        self.assertEqual(step.result, "failed: status 3")
        self.assertIn("a", session.figures)

    def test_stops_what_hangs_with_all_that_it_started(self):
        began = time.monotonic()
        _, step = self.result("sh", "-c", "sleep 60 & sleep 60", seconds=5)
        self.assertEqual(step.result, "took longer than 5 s")
        self.assertTrue(step.failed)
        self.assertLess(time.monotonic() - began, 20)

    def test_leaves_out_what_is_not_there_or_has_no_time(self):
        self.assertTrue(self.result("true", budget=1.0)[1].result.startswith("not run"))
        session = self.session()
        session.models = pathlib.Path("elsewhere")
        for step in session.steps():
            if step.needs.is_relative_to(session.build):  # its own programs
                session.run(step)
                self.assertTrue(step.result.startswith("not run"), step)
                self.assertFalse(step.failed)

    def test_a_program_that_cannot_start_is_a_failure(self):
        self.assertTrue(self.result("/no/such/program")[1].failed)


if __name__ == "__main__":
    unittest.main()
