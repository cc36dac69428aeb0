"""Each alert fires when it should and keeps quiet when it should not."""

import os
import pathlib
import re
import subprocess
import sys
import unittest

from promtool import find_promtool

SOURCE_DIR = os.environ["NEUMF_SOURCE_DIR"]
PROMETHEUS_DIR = os.path.join(SOURCE_DIR, "deploy/prometheus")
CASES = [os.path.join(SOURCE_DIR, "tests/integration", name)
         for name in ("alerts_cases.yml", "model_age_cases.yml",
                      "service_level_cases.yml")]


class AlertsTest(unittest.TestCase):

    def promtool(self, *arguments):
        result = subprocess.run([find_promtool(), *arguments], check=False,
                                capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_the_configuration_and_its_rules_are_right(self):
        self.promtool("check", "config",
                      os.path.join(PROMETHEUS_DIR, "prometheus.yml"))

    def test_every_alert_stands_in_operations(self):
        page = pathlib.Path(SOURCE_DIR, "docs/operations.md")
        rules = [path.read_text(encoding="utf-8") for path in
                 pathlib.Path(PROMETHEUS_DIR).glob("*.yml")]
        alerts = re.findall(r"alert: (\w+)", "".join(rules))
        listed = re.findall(r"`(Neumf\w+)`", page.read_text(encoding="utf-8"))
        self.assertGreater(len(alerts), 0)
        self.assertEqual(sorted(listed), sorted(alerts))

    def test_each_alert_has_a_firing_and_a_quiet_case(self):
        self.promtool("test", "rules", *CASES)


if __name__ == "__main__":
    if find_promtool() is None:
        print("skipped: no promtool: scripts/setup fetches one")
        sys.exit(77)
    unittest.main()
