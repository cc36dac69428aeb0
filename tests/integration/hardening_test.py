"""The programs carry the protections that SECURITY.md promises."""

import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import unittest

PROGRAMS = ("neumf-server", "neumfctl")
# What they are made of, but for the scorer; SECURITY.md says why not.
FLOORS = ("base", "model", "checkpoint", "eval", "proto", "server", "client")
SOURCE_DIR = os.environ["NEUMF_SOURCE_DIR"]
BUILD_DIR = pathlib.Path(os.environ["NEUMF_BIN_DIR"]).parent
# Of each file, since a stack that is probed shows in no table of symbols.
FLAGS = {"-fstack-protector-strong", "-fstack-clash-protection",
         "-D_FORTIFY_SOURCE=2"}


def readelf(program, what):
    path = os.path.join(os.environ["NEUMF_BIN_DIR"], program)
    return subprocess.run(["readelf", "--wide", what, path], check=True,
                          capture_output=True, text=True).stdout


def commands_of_floors():
    """The compiler's arguments, by the path of the file in the source tree."""
    path = BUILD_DIR / "compile_commands.json"
    if not path.exists():
        return {}
    commands = {}
    for entry in json.loads(path.read_text(encoding="utf-8")):
        output = re.search(r"-o (\S+)", entry["command"])[1]
        if output.startswith(tuple(f"{floor}/CMakeFiles" for floor in FLOORS)):
            commands[entry["file"]] = entry["command"].split()
    return commands


def is_hardened_build():
    """Neither a sanitizer's nor a debugger's."""
    cache = (BUILD_DIR / "CMakeCache.txt").read_text(encoding="utf-8")
    return ("NEUMF_SANITIZE:STRING=\n" in cache and
            "CMAKE_BUILD_TYPE:STRING=Debug\n" not in cache)


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


@unittest.skipUnless(is_hardened_build(), "a build to find faults with")
class CompiledTest(unittest.TestCase):
    """What the compiler put in."""

    def test_overwritten_stacks_and_buffers_end_the_program(self):
        for program in PROGRAMS:
            imported = set(re.findall(r" UND (\w+)@",
                                      readelf(program, "--dyn-syms")))
            self.assertIn("__stack_chk_fail", imported, program)
            # Calls whose length it could not check while compiling.
            self.assertTrue(
                any(name.endswith("_chk") for name in imported), program)

    def test_every_file_is_compiled_so(self):
        commands = commands_of_floors()
        if not commands:
            self.skipTest("CMake wrote no compile_commands.json")
        floors = {pathlib.Path(path).relative_to(SOURCE_DIR).parts[0]
                  for path in commands if path.startswith(SOURCE_DIR)}
        self.assertLessEqual(set(FLOORS) - {"proto"}, floors)
        for path, command in commands.items():
            self.assertLessEqual(FLAGS, set(command), path)

    @unittest.skipUnless(platform.machine() == "x86_64", "of x86 processors")
    def test_every_object_is_marked_for_control_flow_enforcement(self):
        # The programs are not: the C library's own start code has no marks.
        for floor in FLOORS:
            for library in (BUILD_DIR / floor).glob("*.a"):
                notes = readelf(library, "--notes")
                num_objects = notes.count("\nFile: ")
                self.assertGreater(num_objects, 0, library)
                self.assertEqual(len(re.findall(r"IBT, SHSTK", notes)),
                                 num_objects, library)


if __name__ == "__main__":
    if shutil.which("readelf") is None:
        print("skipped: needs readelf")
        sys.exit(77)
    unittest.main()
