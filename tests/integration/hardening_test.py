"""The programs carry the protections that SECURITY.md promises."""

import os
import re
import shutil
import subprocess
import sys
import unittest

PROGRAMS = ("neumf-server", "neumfctl")


def readelf(program, what):
    path = os.path.join(os.environ["NEUMF_BIN_DIR"], program)
    return subprocess.run(["readelf", "--wide", what, path], check=True,
                          capture_output=True, text=True).stdout


class HardeningTest(unittest.TestCase):

    def test_programs_lie_anywhere(self):
        for program in PROGRAMS:
            self.assertRegex(readelf(program, "--file-header"),
                             r"Type:\s+DYN", program)
            self.assertRegex(readelf(program, "--dynamic"),
                             r"\(FLAGS_1\).*\bPIE\b", program)

    def test_tables_of_functions_are_read_only(self):
        for program in PROGRAMS:
            self.assertIn("GNU_RELRO", readelf(program, "--segments"), program)
            # Without it those of libraries stay writable.
            self.assertRegex(readelf(program, "--dynamic"),
                             r"\(FLAGS_1\).*\bNOW\b", program)

    def test_nothing_is_both_writable_and_executable(self):
        for program in PROGRAMS:
            segments = readelf(program, "--segments")
            stack = re.search(r"GNU_STACK.* (\S+\s?\S*) +0x\w+$", segments, re.M)
            self.assertNotIn("E", stack[1], program)
            self.assertNotRegex(segments, r"\bRWE\b", program)

    def test_libraries_come_from_where_the_system_has_them(self):
        for program in PROGRAMS:
            self.assertNotRegex(readelf(program, "--dynamic"),
                                r"RPATH|RUNPATH|TEXTREL", program)


if __name__ == "__main__":
    if shutil.which("readelf") is None:
        print("skipped: needs readelf")
        sys.exit(77)
    unittest.main()
