"""Where Prometheus' own checker is."""

import os
import shutil


def find_promtool():
    """Its path, or None."""
    candidates = (
        os.environ.get("NEUMF_PROMTOOL"),
        shutil.which("promtool"),
        os.path.join(os.environ["NEUMF_SOURCE_DIR"], "build/tools/promtool"))
    return next(
        (path for path in candidates if path and os.path.exists(path)), None)
