"""docs/reliability.md, the scripts of faults and what runs them are one list."""

import os
import pathlib
import re
import unittest

SOURCE_DIR = pathlib.Path(os.environ["NEUMF_SOURCE_DIR"])
FAULTS_DIR = SOURCE_DIR / "tests/faults"
PAGE = (SOURCE_DIR / "docs/reliability.md").read_text(encoding="utf-8")


def scripts():
    """What can be run; the rest is shared by them."""
    return {file.name for file in FAULTS_DIR.glob("*.py")
            if '__name__ == "__main__"' in file.read_text(encoding="utf-8")}


class ReliabilityTest(unittest.TestCase):

    def test_every_script_is_on_the_page_and_the_reverse(self):
        rows = [line for line in PAGE.splitlines() if line.startswith("|")]
        listed = {name for row in rows for name in re.findall(r"`(\w+\.py)`", row)}
        self.assertEqual(listed, scripts())

    def test_every_script_runs_with_the_other_tests(self):
        lists = (FAULTS_DIR / "CMakeLists.txt").read_text(encoding="utf-8")
        names = {name.removesuffix(".py") for name in scripts()}
        self.assertEqual(names - set(re.findall(r"\w+", lists)), set())

    def test_every_row_has_a_promise_a_test_and_a_result(self):
        tables, _ = PAGE.split("## Not built yet")
        for row in re.findall(r"^\| .+ \|$", tables, re.M):
            cells = [cell.strip() for cell in row.strip("|").split(" | ")]
            self.assertEqual(len(cells), 3, row)
            self.assertTrue(all(cells), row)

    def test_every_other_test_that_it_names_exists(self):
        named = re.findall(r"`(tests/[\w/.]+)`", PAGE)
        self.assertTrue(named)
        for path in named:
            self.assertTrue((SOURCE_DIR / path).exists(), path)


if __name__ == "__main__":
    unittest.main()
