"""docs/metrics.md and a scrape of a running server hold the same.

Names, types, the names of labels, and the values of those that the page lists:
in a row's own text, where the metric has one label, or in a sentence above the
table, "`label` is `this` or `that`".
"""

import collections
import math
import os
import pathlib
import re
import socket
import tempfile
import unittest

import paths  # noqa: F401

import models
from daemon import Daemon
from protos import recommendation_pb as pb

PAGE = pathlib.Path(os.environ["NEUMF_SOURCE_DIR"], "docs/metrics.md")
SERVICE = "neumf.v1.RecommendationService"
TIMEOUT = 20
MOST_BYTES = 200_000
NUM_IDLE = 10
# Only there with a GPU.
CONDITIONAL = {"neumf_gpu_memory_bytes"}
# What text format and type imply.
IMPLIED_LABELS = {"le", "quantile"}

_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|([^|]*)\|$")
_SENTENCE = re.compile(r"`(\w+)` is ([^;.]*`[^;.]*)[;.]")
# A value of a label, and not a metric, a flag, a program or a log event.
_VALUE = re.compile(r"`((?!neumf_|grpc_server|process_)\w+)`")


class Page:
    """What the page says."""

    def __init__(self, text):
        self.types = {}
        self.labels = {}
        # By metric and label; absent where the page lists none.
        self.values = {}
        for section in text.split("\n## "):
            self._read(section)

    def _read(self, section):
        prose = " ".join(line for line in section.splitlines()
                         if not line.startswith("|"))
        known = {label: set(_VALUE.findall(values))
                 for label, values in _SENTENCE.findall(prose)}
        for line in section.splitlines():
            row = _ROW.match(line)
            if row is None:
                continue
            name, kind, labels, meaning = row.groups()
            self.types[name] = kind
            self.labels[name] = set(re.findall(r"`(\w+)`", labels))
            own = set(_VALUE.findall(meaning))
            if len(self.labels[name]) == 1 and own:
                # The rows below say the same of the same label.
                known.update({label: own for label in self.labels[name]})
            for label in self.labels[name] & known.keys():
                self.values[name, label] = known[label]


class Scrape:
    """What a server exports, histograms by the name of the whole."""

    def __init__(self, text):
        self.types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
        self.labels = collections.defaultdict(set)
        self.values = collections.defaultdict(set)
        for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.M):
            family = self._family(name)
            for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
                if label not in IMPLIED_LABELS:
                    self.labels[family].add(label)
                    self.values[family, label].add(value)

    def _family(self, name):
        whole = re.sub(r"_(bucket|sum|count)$", "", name)
        return name if name in self.types else whole


class MetricsTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        model = models.random_model(seed=1)
        model.publish(directory, 1)
        cls.daemon = cls.enterClassContext(Daemon(directory))
        cls.make_calls(model.user_ids)
        cls.page = Page(PAGE.read_text(encoding="utf-8"))
        cls.scrape = Scrape(cls.daemon.metrics_text())

    @classmethod
    def make_calls(cls, users):
        """Of all kinds that end with an answer."""
        stub = cls.daemon.recommendations()
        for user in users:
            stub.Recommend(pb.RecommendRequest(user_id=user), timeout=TIMEOUT)
        stub.Recommend(pb.RecommendRequest(
            user_id="nobody",
            unknown_user_policy=pb.UNKNOWN_USER_POLICY_POPULAR),
                       timeout=TIMEOUT)
        stub.BatchRecommend(pb.BatchRecommendRequest(
            requests=[pb.RecommendRequest(user_id=user) for user in users]),
                            timeout=TIMEOUT)

    def total(self, name, **labels):
        """Over all series that have these labels, among others."""
        return sum(value for (found, has), value in self.daemon.metrics().items()
                   if found == name and labels.items() <= set(has))

    def test_stages_add_up_to_the_handling_time_of_answered_calls(self):
        def add_up():
            handling = self.total("grpc_server_handling_seconds_sum",
                                  grpc_service=SERVICE)
            return handling > 0 and math.isclose(
                self.total("neumf_stage_duration_seconds_sum"), handling,
                rel_tol=1e-9)
        # The last one may come a little after the answer.
        self.daemon.wait_until(add_up)

    def test_what_is_exported_is_documented_and_the_other_way_round(self):
        documented = {name: kind for name, kind in self.page.types.items()
                      if name not in CONDITIONAL or name in self.scrape.types}
        self.assertEqual(sorted(self.scrape.types.items()),
                         sorted(documented.items()))

    def test_labels_have_the_names_that_the_page_gives_them(self):
        for name in self.scrape.types.keys() & self.page.labels.keys():
            self.assertEqual(self.scrape.labels[name], self.page.labels[name],
                             name)

    def test_every_value_that_the_page_lists_is_there_from_the_start(self):
        self.assertGreater(len(self.page.values), 20)
        for (name, label), values in self.page.values.items():
            exported = self.scrape.values[name, label]
            with self.subTest(metric=name, label=label):
                if name in CONDITIONAL or name.endswith("_info"):
                    # What is so, of what may be.
                    self.assertLessEqual(exported, values)
                else:
                    self.assertEqual(exported, values)

    def test_a_scrape_is_small_and_idle_connections_do_not_hold_it_up(self):
        host, port = self.daemon.addresses["metrics"].rsplit(":", 1)
        for _ in range(NUM_IDLE):
            self.enterContext(socket.create_connection((host, int(port))))
        text = self.daemon.metrics_text()
        self.assertIn("neumf_build_info", text)
        self.assertLess(len(text), MOST_BYTES)


class PageTest(unittest.TestCase):
    """The reader of the page finds what is wrong, or the tests above are blind."""

    def test_reads_values_from_rows_and_from_sentences(self):
        page = Page("# Title\n\n## Section\n\n`stage` is `one` or\n`two`.\n\n"
                    "| `m_seconds` | histogram | `stage` | of a stage |\n"
                    "| `m_total` | counter | `why` | `full`, not `neumf_x` |\n"
                    "| `n_total` | counter | `why` | see the log (`event=x`) |\n"
                    "| `o` | gauge | | `--flag` |\n")
        self.assertEqual(page.types, {"m_seconds": "histogram", "o": "gauge",
                                      "m_total": "counter",
                                      "n_total": "counter"})
        self.assertEqual(page.labels["o"], set())
        self.assertEqual(page.values, {("m_seconds", "stage"): {"one", "two"},
                                       ("m_total", "why"): {"full"},
                                       ("n_total", "why"): {"full"}})


if __name__ == "__main__":
    unittest.main()
