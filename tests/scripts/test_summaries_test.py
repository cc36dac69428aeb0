"""scripts/failed_tests and scripts/skipped_tests on a log of ctest's: programs
that passed, failed, were skipped as a whole or in part, and ran out of time."""

import importlib.machinery
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
SCRIPTS = pathlib.Path(os.environ["NEUMF_SOURCE_DIR"]) / "scripts"
TESTDATA = pathlib.Path(__file__).resolve().parent / "testdata"
LOG = TESTDATA / "last_test_log.txt"
OUTPUT = TESTDATA / "ctest_output.txt"


def load(name):
    """A script, whose name has no ending, as a module."""
    loader = importlib.machinery.SourceFileLoader(name, str(SCRIPTS / name))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


def run(script, log=LOG, output=OUTPUT):
    """What it prints."""
    return subprocess.run(
        [sys.executable, SCRIPTS / script, log, output], check=True,
        stdout=subprocess.PIPE, text=True, timeout=60).stdout


def run_on_nothing(script):
    """The same of a run in which all tests passed."""
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder, "ctest_output")
        output.write_text("100% tests passed, 0 tests failed out of 5\n",
                          encoding="utf-8")
        log = pathlib.Path(folder, "log")
        log.write_text("", encoding="utf-8")
        return run(script, log, output)


class SkippedTest(unittest.TestCase):

    def test_all_that_was_skipped_is_listed_with_its_reason(self):
        self.assertEqual(run("skipped_tests"), """\
Skipped: 3
  queue_test: QueueTest.ServesTheGpu: no GPU here
  tls_test: test_b_tool (__main__.RotationTest.test_b_tool): no openssl
  clock_jumps: ptrace is forbidden here
""")

    def test_nothing_is_said_to_be_nothing(self):
        self.assertEqual(run_on_nothing("skipped_tests"), "Skipped: nothing\n")


class FailedTest(unittest.TestCase):

    def setUp(self):
        self.failed = load("failed_tests")

    def test_all_that_failed_is_listed_with_where_and_why(self):
        self.assertEqual(run("failed_tests"), """\
Failed: 3
  queue_test (Failed)
    /src/tests/server/queue_test.cc:41: Failure
    Expected equality of these values:
      queue.Take()
        Which is: 2
    [  FAILED  ] QueueTest.KeepsTheOrder (3 ms)
  tls_test (Failed)
    FAIL: test_a_new_key_is_taken (__main__.RotationTest.test_a_new_key_is_taken)
      File "/src/build/t.py", line 4, in test_a_new_key_is_taken
        self.assertEqual(1, 2)
    AssertionError: 1 != 2
  soak (Timeout)
    round 1
    round 2
""")

    def test_nothing_is_said_to_be_nothing(self):
        self.assertEqual(run_on_nothing("failed_tests"), "Failed: nothing\n")

    def test_a_program_that_the_log_does_not_have_is_named(self):
        self.assertEqual(
            list(self.failed.failed("", "\t  7 - lost_test (Not Run)\n")),
            [("lost_test (Not Run)", [])])

    def test_a_long_story_leaves_room_for_the_others(self):
        told = self.failed.summary(
            [("talks (Failed)", ["word"] * 1000), ("quiet (SEGFAULT)", ["end"])])
        self.assertLessEqual(len(told), self.failed.MOST_LINES)
        self.assertIn("  talks (Failed)", told)
        self.assertEqual(told[-2:], ["  quiet (SEGFAULT)", "    end"])


if __name__ == "__main__":
    unittest.main()
