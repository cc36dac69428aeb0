"""bench/gpu/run: what it makes of figures, and of steps that fail or hang."""

import importlib.machinery
import importlib.util
import os
import pathlib
import re
import sys
import tempfile
import time
import unittest
from unittest import mock

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


def rows(figures, steps=()):
    return {goal.title: run.row_of(goal, figures, steps) for goal in run.goals()}


SAME_ITEMS = "same items and scores as the CPU, bit for bit"
SAME_ITEMS_TRAINED = "same items, trained checkpoints"


class TableTest(unittest.TestCase):
    def test_says_what_was_not_run(self):
        self.assertTrue(all(row.endswith("| not run |") for row in rows({}).values()))

    def test_committed_table_has_every_row(self):
        text = (SOURCE_DIR / "bench" / "results" / "gpu.md").read_text(encoding="utf-8")
        for goal in run.goals():
            self.assertIn(f"| {goal.title} | {goal.floor} | {goal.goal} |", text)

    def test_committed_table_has_every_step(self):
        text = (SOURCE_DIR / "bench" / "results" / "gpu.md").read_text(encoding="utf-8")
        nowhere = pathlib.Path("nowhere")
        for step in run.Session(nowhere, 0, False, nowhere).steps():
            self.assertIn(f"| {step.name} |", text)

    def test_says_which_steps_were_not_run(self):
        text = run.report(None, {}, [run.Step("compute-sanitizer, memcheck", [], 1)])
        self.assertIn("| compute-sanitizer, memcheck | not run |", text)

    def test_says_which_weights_a_figure_is_of(self):
        name = "gpu.A.1m.k100.b1.device_us"
        figure = {"value": 10.0, "unit": "us", "weights": "random"}
        self.assertIn("| 10 us, random weights |", run.report("a GPU", {name: figure}, []))
        self.assertIn(f"| `{name}` | 10 | us | random |", run.report("a GPU", {name: figure}, []))

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
        self.assertIn("99.9000% (**below the floor**)", rows(figures)[SAME_ITEMS])

    def test_random_models_are_no_trained_ones(self):
        figures = {f"gpu.same_items.{n}.random": {"value": 1.0} for n in range(54)}
        self.assertTrue(rows(figures)[SAME_ITEMS].endswith("| 100.0000% |"))
        self.assertTrue(rows(figures)[SAME_ITEMS_TRAINED].endswith("| not run |"))

    def test_fewer_trained_towers_than_there_are_is_incomplete(self):
        figures = {f"gpu.same_items.{tower}.trained": {"value": 1.0} for tower in "AB"}
        self.assertIn("100.0000% (**incomplete**: 2 of 3)", rows(figures)[SAME_ITEMS_TRAINED])
        figures["gpu.same_items.C.trained"] = {"value": 1.0}
        self.assertTrue(rows(figures)[SAME_ITEMS_TRAINED].endswith("| 100.0000% |"))

    def test_what_a_stopped_step_measured_is_incomplete(self):
        figures = {f"gpu.same_items.{tower}.trained": {"value": 1.0} for tower in "ABC"}
        figures["gpu.rounding.x"] = {"value": 1.0, "allowed": 2.0}
        table = rows(figures, [run.Step("answers", [], 1, failed=True)])
        for title in SAME_ITEMS, SAME_ITEMS_TRAINED:
            self.assertIn("100.0000% (**incomplete**: the step failed or was stopped)", table[title])
        self.assertNotIn("incomplete", "".join(
            row for title, row in table.items() if not title.startswith("same items")))

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

    def limits(self, steps, budget):
        """The seconds that each of `steps` is given when each takes them all."""
        given = []
        clock = [0.0]

        def take_all(_command, _said, seconds, _environment):
            given.append(seconds)
            clock[0] += seconds
            return 0

        session = self.session()
        session.until = budget
        with mock.patch.object(run.time, "monotonic", lambda: clock[0]), \
                mock.patch.object(run, "status_of", take_all):
            session.run_all(steps)
        return given

    def test_steps_leave_later_ones_their_part(self):
        steps = [run.Step("a", [], 100, 20), run.Step("b", [], 100, 30), run.Step("c", [], 100, 10)]
        self.assertEqual(self.limits(steps, 400), [100, 100, 100])
        self.assertEqual(self.limits(steps, 120), [80, 30, 10])
        # Where there is not enough for all, the first have theirs.
        self.assertEqual(self.limits(steps, 48), [20, 28])

    def test_leaves_nothing_to_what_cannot_run(self):
        steps = [run.Step("a", [], 100, 20),
                 run.Step("b", [], 100, 30, needs=pathlib.Path("/no/such/program"))]
        self.assertEqual(self.limits(steps, 60), [60])

    def test_all_steps_have_a_part_of_the_time_after_the_longest_build(self):
        steps = list(self.session().steps())
        for step in steps:
            step.needs = None
            step.measures = False
        for budget in 570, 570 / 2:
            given = self.limits(steps, budget)
            self.assertLessEqual(sum(given), budget)
            seconds = dict(zip((step.name for step in steps), given))
            self.assertGreaterEqual(seconds["PyTorch"], 60)
        self.assertEqual(len(self.limits(steps, 570)), len(steps))

    def test_what_is_most_important_comes_first(self):
        names = [step.name for step in self.session().steps()]
        self.assertEqual(names[:7], ["tensor core rounding", "scorer tests", "trainer tests",
                                     "answers", "speed", "PyTorch", "training speed"])
        self.assertTrue(all(name.startswith("compute-sanitizer") for name in names[7:]))

    def test_a_build_that_takes_too_long_is_stopped(self):
        with mock.patch.object(run, "status_of", return_value=None) as status_of:
            with self.assertRaisesRegex(SystemExit, "took too long"):
                run.build_programs(time.monotonic() + 100)
        self.assertLessEqual(status_of.call_args.args[2], 100)

    def test_sanitizes_tests_that_there_are(self):
        texts = [path.read_text(encoding="utf-8") for folder in ("scoring", "trainer")
                 for path in (SOURCE_DIR / "tests" / folder).glob("*/*.cc")]
        names = {f"{suite}.{test}" for text in texts
                 for suite, test in re.findall(r"^TEST(?:_[FP])?\((\w+),\s*(\w+)\)", text, re.M)}
        names |= {name.split(".")[0] + ".*" for name in names}
        for tests in run.SANITIZED_TESTS.values():
            for test in tests:
                self.assertTrue(re.sub(r"^AllPlans/|/\w+$", "", test) in names, test)

    def test_measuring_nothing_is_a_failure(self):
        for said, result in (("no model", "failed: it measured nothing"),
                             ('{"name": "a", "value": 2, "unit": "x"}', "passed in 0 s")):
            step = run.Step("PyTorch", ["echo", said], 30, measures=True)
            self.session().run(step)
            self.assertEqual(step.result, result)

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
