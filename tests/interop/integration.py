"""Import this first: makes the modules of tests/integration importable."""

import os
import sys

sys.path.insert(0, os.path.join(os.environ["NEUMF_SOURCE_DIR"],
                                "tests", "integration"))

import paths  # noqa: E402,F401
