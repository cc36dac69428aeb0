"""Finds programs and packages of others; without them a test is skipped."""

import os
import shutil
import sys

from clients import MODULES_DIR

_SKIPPED = 77  # what ctest takes for "skipped"


def skip(missing):
    print(f"no {missing}: scripts/setup interop installs it", file=sys.stderr)
    sys.exit(_SKIPPED)


def need_node(*packages):
    need_program("node")
    for package in packages:
        if not os.path.isdir(os.path.join(MODULES_DIR, package)):
            skip(f"{package} in {MODULES_DIR}")


def need_program(name):
    """Its path."""
    return shutil.which(name) or skip(name)
