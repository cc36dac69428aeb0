"""Where Prometheus' own programs are; scripts/setup fetches them."""

import os
import shutil


def _find(program):
    unpacked = os.path.join(os.environ["NEUMF_SOURCE_DIR"], "build/tools",
                            program)
    candidates = (os.environ.get(f"NEUMF_{program.upper()}"),
                  shutil.which(program), unpacked)
    return next(
        (path for path in candidates if path and os.path.exists(path)), None)


def find_promtool():
    """Its path, or None."""
    return _find("promtool")


def find_prometheus():
    """Its path, or None."""
    return _find("prometheus")
