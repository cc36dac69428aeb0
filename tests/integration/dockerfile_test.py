"""The images must hold every library that their programs link."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

SOURCE_DIR = pathlib.Path(os.environ["NEUMF_SOURCE_DIR"])
BIN_DIR = pathlib.Path(os.environ["NEUMF_BIN_DIR"])

# In every Debian, needed by everything.
BASE_PACKAGES = {"libc6", "libgcc-s1", "libstdc++6"}


def owner_of(file):
    """The package of a file; old ones call /usr/lib by its former name, /lib."""
    for name in (file, file.removeprefix("/usr")):
        search = subprocess.run(["dpkg", "-S", name], capture_output=True, text=True, check=False)
        if search.returncode == 0:
            return search.stdout.split(":")[0]
    raise AssertionError(f"no package owns {file}")


def linked_packages(program):
    """The Debian packages of the libraries that `program` names itself."""
    dynamic = subprocess.run(["objdump", "-p", program], capture_output=True, text=True, check=True)
    resolved = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    found = set()
    for library in re.findall(r"NEEDED\s+(\S+)", dynamic.stdout):
        match = re.search(rf"^\s*{re.escape(library)} => (\S+)", resolved, re.M)
        if match:
            found.add(owner_of(str(pathlib.Path(match[1]).resolve())))
    return found - BASE_PACKAGES


def stage_text(name):
    text = (SOURCE_DIR / "Dockerfile").read_text(encoding="utf-8")
    return next(stage for stage in text.split("\nFROM ") if stage.splitlines()[0].endswith(f" AS {name}"))


class DockerfileTest(unittest.TestCase):
    def assert_installs_libraries_of(self, stage, program):
        file = BIN_DIR / program
        if not file.exists():
            self.skipTest(f"{program} is not built")
        installed = set(re.findall(r"[\w.+-]+", stage_text(stage)))
        self.assertEqual(linked_packages(file) - installed, set())

    def test_server_image_has_the_libraries_of_its_programs(self):
        self.assert_installs_libraries_of("server", "neumf-server")
        self.assert_installs_libraries_of("server", "neumfctl")

    def test_trainer_image_has_the_libraries_of_its_program(self):
        self.assert_installs_libraries_of("trainer", "neumf-train")

    def test_no_program_needs_a_library_of_cuda_to_start(self):
        for program in ("neumf-server", "neumf-train"):
            if not (BIN_DIR / program).exists():
                continue
            libraries = subprocess.run(["ldd", BIN_DIR / program], capture_output=True, text=True,
                                       check=True).stdout
            self.assertNotRegex(libraries, r"libcuda|libcudart|libnvidia", program)
            help_text = subprocess.run([BIN_DIR / program, "--help"], capture_output=True, check=False)
            self.assertEqual(help_text.returncode, 0, program)


if __name__ == "__main__":
    if not all(map(shutil.which, ("objdump", "dpkg", "ldd"))):
        print("skipped: needs objdump, dpkg and ldd")
        sys.exit(77)
    unittest.main()
