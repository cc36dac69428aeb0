#!/usr/bin/env python3
"""bench/serve: what is made of scrapes, answers and searched rates, and that all
contestants give the same answers, on a small random model."""

import os
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.dont_write_bytecode = True
SOURCE = pathlib.Path(os.environ["NEUMF_SOURCE_DIR"])
sys.path.insert(0, str(SOURCE / "bench" / "serve"))

import overload  # noqa: E402
import peers  # noqa: E402
import processes  # noqa: E402
import scrape  # noqa: E402
from answers import difference  # noqa: E402

if not (processes.BUILD / "bench" / "closed_loop").exists():
    print("skipped: this build has no benchmarks")
    sys.exit(77)

SCRAPE = """\
# HELP neumf_calls_total calls
# TYPE neumf_calls_total counter
neumf_calls_total{code="OK",method="Recommend"} 7
neumf_calls_total{code="OK",method="Check"} 2
neumf_calls_total_more 5
"""


def histogram(*counts):
    """Cumulated, of buckets that end at 1, 2 and +Inf."""
    return {f'h_bucket{{le="{end}"}}': count for end, count in zip(("1", "2", "+Inf"), counts)}


class ScrapeTest(unittest.TestCase):
    def test_growth_is_of_one_name_and_of_the_series_with_the_label(self):
        after = scrape.parse(SCRAPE)
        before = {'neumf_calls_total{code="OK",method="Recommend"}': 3}
        self.assertEqual(scrape.growth(before, after, "neumf_calls_total"), 6)
        self.assertEqual(scrape.growth(before, after, "neumf_calls_total", 'method="Check"'), 2)

    def test_quantiles_lie_between_the_ends_of_their_bucket(self):
        self.assertEqual(scrape.quantile({}, histogram(50, 100, 100), "h", 0.75), 1.5)
        self.assertEqual(scrape.quantile({}, histogram(50, 100, 100), "h", 0.5), 1)

    def test_quantiles_are_of_what_came_between_the_scrapes(self):
        self.assertEqual(
            scrape.quantile(histogram(50, 50, 50), histogram(50, 60, 60), "h", 0.5), 1.5)

    def test_a_quantile_above_all_buckets_is_the_last_end(self):
        self.assertEqual(scrape.quantile({}, histogram(0, 0, 9), "h", 0.5), 2)

    def test_without_observations_a_quantile_is_zero(self):
        self.assertEqual(scrape.quantile({}, histogram(0, 0, 0), "h", 0.5), 0)
        self.assertEqual(scrape.quantile({}, {}, "h", 0.5), 0)


class DifferenceTest(unittest.TestCase):
    OURS = [[["a", 3.0], ["b", 2.0], ["c", 1.0]]]

    def test_rounding_is_no_difference(self):
        self.assertIsNone(difference(self.OURS, [[["a", 3.00001], ["b", 2.0], ["c", 1.0]]]))

    def test_ties_may_change_places(self):
        tied = [[["a", 2.0], ["b", 2.0]]]
        self.assertIsNone(difference(tied, [[["b", 2.0], ["a", 2.0]]]))

    def test_a_tie_with_the_last_item_may_take_its_place(self):
        self.assertIsNone(difference(self.OURS, [[["a", 3.0], ["b", 2.0], ["d", 1.0]]]))

    def test_another_item_is_found(self):
        self.assertIn("d has None",
                      difference(self.OURS, [[["d", 3.0], ["b", 2.0], ["c", 1.0]]]))

    def test_another_score_is_found(self):
        self.assertIn("place 1", difference(self.OURS, [[["a", 3.0], ["b", 2.1], ["c", 1.0]]]))

    def test_missing_items_and_answers_are_found(self):
        self.assertIn("3 items and 0", difference(self.OURS, [[]]))
        self.assertIn("0 items and 0", difference([[]], [[]]))
        self.assertIn("1 answers and 0", difference(self.OURS, []))


def persistently(check):
    """A server that a busy machine keeps waiting refuses calls, as it should; not for ever."""
    for _ in range(9):
        try:
            return check()
        except (processes.Failed, AssertionError):
            pass
    return check()


class OverloadTest(unittest.TestCase):
    @staticmethod
    def loads_of(*found):
        """Above which rates loads are made, and which of them count."""
        made = []

        def load(rate):
            made.append(rate)
            return {"above": rate, "number": len(made)}

        search = mock.Mock(side_effect=found)
        rates, loads, counted = overload.searches_and_loads(len(found), search, load)
        assert rates == list(found) and len(loads) == len(found)
        return made, [run["number"] for run in counted]

    def test_loads_are_above_the_best_rate_so_far(self):
        self.assertEqual(self.loads_of(100, 98, 70), ([100, 100, 100], [1, 2, 3]))

    def test_loads_above_a_lower_rate_are_made_again(self):
        self.assertEqual(self.loads_of(70, 98, 100), ([70, 98, 100, 100], [2, 3, 4]))

    def test_a_search_ends_close_below_the_highest_rate(self):
        for highest in (1.01, 400, 500, 777, 12_345):
            found = overload.search(lambda rate, highest=highest: rate <= highest)
            self.assertLessEqual(found, highest)
            self.assertGreater(found * overload.SAME_RATE, highest)

    def test_that_no_rate_keeps_the_goal_is_no_measurement(self):
        with self.assertRaisesRegex(processes.Failed, "no rate"):
            overload.search(lambda rate: False)

    @staticmethod
    def highest_rate(answer):
        load = mock.Mock()
        load.ask.side_effect = answer
        return overload.highest_rate(mock.Mock(seconds=1), load)

    def test_the_highest_rate_keeps_the_goal(self):
        def answer(rate, _seconds, _deadline_ms):
            late = None if rate > 2000 else 51
            return {"lag_p99_ms": 1, "p99_ms": 49 if rate < 1000 else late}
        self.assertAlmostEqual(self.highest_rate(answer), 1000, delta=50)

    def test_a_client_that_lags_is_no_measurement(self):
        with self.assertRaisesRegex(processes.Failed, "client was too slow"):
            self.highest_rate(lambda *_: {"lag_p99_ms": 51, "p99_ms": 60})


class ContestantsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        cls.model = pathlib.Path(cls.scratch.name) / "model"
        cls.weights = processes.write_model(cls.model, "nowhere", "A", 300)
        cls.ours = processes.Neumf(processes.BUILD / "bin" / "neumf-server", cls.model)
        cls.addClassCleanup(cls.ours.__exit__)

    def answers(self, server):
        with processes.Callers(server, self.model) as callers:
            return callers.ask("answers", 20)["answers"]

    def same_answers_as_ours(self, *commands):
        with processes.Fleet(commands) as fleet:
            persistently(lambda: self.assertIsNone(
                difference(self.answers(self.ours), self.answers(fleet))))

    def test_weights_are_random_without_trained_towers(self):
        self.assertEqual(self.weights, "random")

    def test_every_kind_of_call_is_answered(self):
        with processes.Callers(self.ours, self.model) as callers:
            for words in (("recommend", 4, 0.1), ("flood", 4, 0.1), ("health", 4, 0.1),
                          ("batch", 20, 0.1)):
                window = persistently(lambda words=words: callers.window(*words))
                self.assertGreater(window["calls"], 0)
                self.assertGreater(window["server_cpu_us"], 0)

    def test_a_burst_makes_each_call_once(self):
        with processes.Callers(self.ours, self.model) as callers:
            def all_answered():
                burst = callers.ask("burst", 50, 30_000)
                self.assertEqual((burst["calls"], burst["ok"]), (50, 50))
            persistently(all_answered)

    def test_calls_are_offered_and_answered_or_not(self):
        with processes.OfferedLoad(self.ours, self.model) as load:
            run = persistently(lambda: self.all_answered(load.ask(200, 0.2, 30_000)))
            self.assertGreater(run["p99_ms"], 0)
            refused = load.ask(20_000, 0.2, 1)
        self.assertLess(refused["answered"], refused["calls"])
        self.assertLessEqual(refused["goodput"] * 0.2, refused["answered"] + 0.5)

    def all_answered(self, run):
        self.assertEqual(run["answered"], run["calls"])
        self.assertAlmostEqual(run["goodput"] * 0.2, run["calls"])
        return run

    def test_failed_calls_are_no_measurement(self):
        with processes.Callers(self.ours, self.model, "--k=-1") as callers:
            for kind in "recommend", "flood":
                with self.assertRaisesRegex(processes.Failed, f"3 of 3 calls of '{kind} 3 0'"):
                    callers.window(kind, 3, 0)

    def test_ranking_alone_answers_windows(self):
        with processes.RankAlone(self.model) as rank:
            window = rank.window(8, 0)
        self.assertEqual(window["users"] % 8, 0)

    @unittest.skipUnless(peers.CPP_SERVER.exists(), "built without LibTorch")
    def test_the_cpp_server_gives_the_same_answers(self):
        self.same_answers_as_ours(peers.cpp_command(self.model, workers=2))

    @unittest.skipUnless(peers.has_pytorch(),
                         "python3-torch is missing; scripts/setup torch installs it")
    def test_the_python_servers_give_the_same_answers(self):
        self.same_answers_as_ours(*(peers.python_command(self.model, form, workers=1)
                                    for form in ("aio", "threads")))


if __name__ == "__main__":
    unittest.main()
