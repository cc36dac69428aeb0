"""What deploy/ holds fits the programs: names, flags, files, rights."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

SOURCE_DIR = pathlib.Path(os.environ["NEUMF_SOURCE_DIR"])
DEPLOY_DIR = SOURCE_DIR / "deploy"
SERVER = os.path.join(os.environ["NEUMF_BIN_DIR"], "neumf-server")
UNIT = DEPLOY_DIR / "systemd/neumf-server.service"
SOCKET_UNIT = UNIT.with_suffix(".socket")
# Tenths, as systemd-analyze counts it.
MOST_EXPOSURE = 20

# Of ours; and `up`, which Prometheus itself makes of every scrape.
_METRIC = re.compile(r"\b(?:(?:neumf|grpc_server|process)[_:][\w:]+|up(?=\{))")


def exported_names():
    """From the page that server_metrics_test holds to the program."""
    text = (SOURCE_DIR / "docs/metrics.md").read_text(encoding="utf-8")
    names = {"up"}
    for name, kind in re.findall(r"^\| `(\w+)` \| (\w+) \|", text, re.M):
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        names |= {name + suffix for suffix in suffixes}
    return names


def rule_texts():
    return [path.read_text(encoding="utf-8")
            for path in (DEPLOY_DIR / "prometheus").glob("*.yml")
            if path.name != "prometheus.yml"]


def recorded_names():
    return {name for text in rule_texts()
            for name in re.findall(r"record: (\S+)", text)}


def expressions(panel):
    return [target["expr"] for target in panel.get("targets", ())]


class GrafanaTest(unittest.TestCase):

    def setUp(self):
        path = DEPLOY_DIR / "grafana/dashboards/neumf.json"
        self.dashboard = json.loads(path.read_text(encoding="utf-8"))
        self.panels = self.dashboard["panels"]

    def test_every_metric_that_it_shows_is_exported(self):
        known = exported_names() | recorded_names()
        self.assertGreater(len(known), 30)
        for panel in self.panels:
            for expression in expressions(panel):
                used = set(_METRIC.findall(expression))
                self.assertTrue(used, expression)
                self.assertLessEqual(used, known, panel["title"])
        for variable in self.dashboard["templating"]["list"]:
            used = set(_METRIC.findall(variable.get("definition", "")))
            self.assertLessEqual(used, known, variable["name"])

    def test_panels_are_apart_and_within_the_page(self):
        ids = [panel["id"] for panel in self.panels]
        self.assertEqual(len(ids), len(set(ids)))
        cells = set()
        for panel in self.panels:
            place = panel["gridPos"]
            own = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                   for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(own & cells, panel["title"])
            self.assertLessEqual(place["x"] + place["w"], 24)
            cells |= own

    def test_every_panel_but_rows_shows_something(self):
        for panel in self.panels:
            self.assertTrue(panel["title"])
            self.assertEqual(bool(expressions(panel)), panel["type"] != "row")


class RulesTest(unittest.TestCase):

    def test_every_metric_of_a_rule_is_exported(self):
        known = exported_names() | recorded_names()
        for text in rule_texts():
            blocks = re.findall(r"expr:(.*?)\n(?=\s*(?:- |labels:|\Z))", text,
                                re.S)
            self.assertEqual(len(blocks), text.count("expr:"))
            for block in blocks:
                used = set(_METRIC.findall(block))
                self.assertTrue(used, block)
                self.assertLessEqual(used, known, block)


class ComposeTest(unittest.TestCase):

    def test_every_file_that_it_mounts_exists(self):
        text = (DEPLOY_DIR / "compose.yaml").read_text(encoding="utf-8")
        mounted = re.findall(r"- (\./[\w./-]+):", text)
        self.assertIn("./prometheus", mounted)
        for path in mounted:
            self.assertTrue((DEPLOY_DIR / path).exists(), path)


class SystemdTest(unittest.TestCase):

    def test_the_server_knows_all_flags(self):
        start = re.search(r"^ExecStart=(.*)$", UNIT.read_text(encoding="utf-8"),
                          re.M)[1]
        flags = [flag.replace("/etc/neumf", str(UNIT.parent))
                 for flag in start.split()[1:]]
        result = subprocess.run([SERVER, *flags, "--help"], check=False,
                                capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_the_socket_is_what_the_flags_say(self):
        flags = UNIT.with_suffix(".flags").read_text(encoding="utf-8")
        address = re.search(r"^--listen=(.*)$", flags, re.M)[1]
        lines = SOCKET_UNIT.read_text(encoding="utf-8").splitlines()
        self.assertIn(f"ListenStream={address}", lines)
        self.assertIn("FileDescriptorName=grpc", lines)

    def test_the_socket_is_there_before_the_service(self):
        text = UNIT.read_text(encoding="utf-8")
        for dependency in ("After", "Wants"):
            units = re.search(rf"^{dependency}=(.*)$", text, re.M)[1].split()
            self.assertIn(SOCKET_UNIT.name, units)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze")
    def test_it_is_hardly_exposed(self):
        result = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--no-pager",
             f"--threshold={MOST_EXPOSURE}", UNIT],
            check=False, capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("Overall exposure level", result.stdout)


if __name__ == "__main__":
    unittest.main()
