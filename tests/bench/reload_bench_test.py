#!/usr/bin/env python3
"""bench/reload: models that share what they should, and callers who notice an
answer that no version gives."""

import os
import pathlib
import sys
import tempfile
import time
import types
import unittest

sys.dont_write_bytecode = True
SOURCE = pathlib.Path(os.environ["NEUMF_SOURCE_DIR"])
sys.path[:0] = [str(SOURCE / "bench" / "reload"), str(SOURCE / "bench" / "serve")]

import processes  # noqa: E402
import swaps  # noqa: E402
import versions  # noqa: E402

if not (processes.BUILD / "bench" / "paced_callers").exists():
    print("skipped: this build has no benchmarks")
    sys.exit(77)

USERS, ITEMS = 50, 300
RATE = 50


class EventsTest(unittest.TestCase):
    def test_a_line_has_its_time_event_and_version(self):
        log = ("1970-01-01T00:01:40.250Z event=checkpoint_freed version=7 seconds=0.1\n"
               "1970-01-01T00:01:41.000Z event=drained\n")
        self.assertEqual(list(versions.events(log)),
                         [(100.25, "checkpoint_freed", 7), (101.0, "drained", 0)])


class RoundsTest(unittest.TestCase):
    def test_calls_of_the_warm_up_and_those_after_the_freeing_are_left_out(self):
        rounds = swaps.Rounds()
        due = [10, 11.5, 12, 13]
        rounds.add({"due": due, "sent": due, "ended": [19, 12, 14, 19],
                    "failed": [1, 2, 3], "inconsistent": 2}, 11.9, 12.1)
        self.assertEqual(rounds.ratios, [4])
        self.assertEqual(rounds.details()["calls"], 2)
        self.assertEqual((rounds.failed, rounds.failed_before, rounds.inconsistent), (1, 1, 2))


class SwapTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.session = types.SimpleNamespace(
            scratch=pathlib.Path(scratch.name), towers="nowhere",
            server=processes.BUILD / "bin" / "neumf-server")
        self.models = versions.LargeModels(self.session, USERS, ITEMS)
        folder = self.session.scratch / "versions"
        folder.mkdir()
        self.users = self.session.scratch / "users"
        self.users.write_text("".join(f"u{row}\n" for row in range(2, USERS)), encoding="utf-8")
        self.directory = versions.Directory(
            folder, [self.models.file(seed=1), self.models.file(seed=2)])
        self.server = self.directory.server(self.session)
        self.addCleanup(self.server.__exit__)
        self.caller = swaps.Caller(self.server, self.users)
        self.addCleanup(self.caller.__exit__)

    def swap_under_calls(self):
        def swap():
            self.directory.swap(self.server)
            time.sleep(1)  # for calls of the version that came

        return self.caller.run_while(RATE, swap)

    def test_answers_of_two_versions_that_are_known_are_right(self):
        self.caller.learn()
        self.directory.swap(self.server)
        self.caller.learn()
        calls = self.swap_under_calls()
        self.assertGreater(len(calls["due"]), 0)
        self.assertEqual(calls["inconsistent"], 0)

    def test_answers_of_another_version_are_noticed(self):
        self.caller.learn()
        self.assertGreater(self.swap_under_calls()["inconsistent"], 0)


if __name__ == "__main__":
    unittest.main()
