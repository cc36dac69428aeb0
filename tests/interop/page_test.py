"""docs/interoperability.md names the tests and the versions that there are."""

import json
import os
import pathlib
import re
import sys
import unittest

SOURCE_DIR = pathlib.Path(os.environ["NEUMF_SOURCE_DIR"])
HERE = SOURCE_DIR / "tests/interop"
PAGE = (SOURCE_DIR / "docs/interoperability.md").read_text(encoding="utf-8")


def in_table():
    """Versions by package, and scripts, of the table of clients."""
    versions, scripts = {}, set()
    for row in re.findall(r"^\| (?:npm|Debian)'s .*$", PAGE, re.M):
        _, clients, numbers, _, tests, _ = row.split("|")
        versions.update(zip(re.findall(r"`(\S+)`", clients),
                            numbers.strip().split(", ")))
        scripts.update(re.findall(r"`(\w+)\.py`", tests))
    return versions, scripts


class PageTest(unittest.TestCase):

    def setUp(self):
        self.versions, self.scripts = in_table()

    def test_packages_have_the_versions_that_are_installed(self):
        wanted = json.loads((HERE / "node/package.json").read_text("utf-8"))
        locked = json.loads((HERE / "node/package-lock.json").read_text("utf-8"))
        from_npm = {name: version for name, version in self.versions.items()
                    if name.startswith("@")}
        self.assertEqual(from_npm, wanted["dependencies"])
        for name, version in from_npm.items():
            self.assertEqual(
                locked["packages"][f"node_modules/{name}"]["version"], version)

    def test_every_test_is_in_the_table_and_runs(self):
        there = {file.stem for file in HERE.glob("*_test.py")} - {"page_test"}
        self.assertEqual(self.scripts, there)
        lists = (HERE / "CMakeLists.txt").read_text("utf-8")
        self.assertEqual(there - set(re.findall(r"\w+", lists)), set())

    def test_the_lock_file_names_no_registry(self):
        lock = (HERE / "node/package-lock.json").read_text("utf-8")
        self.assertNotIn('"resolved"', lock)


if __name__ == "__main__":
    sys.exit(unittest.main())
