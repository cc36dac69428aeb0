"""What two scrapes of /metrics say of the time between them.

A scrape is {"name{labels}": value}.
"""

import math
import re


def parse(text):
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {series: float(value) for series, value in (line.rsplit(" ", 1) for line in lines)}


def growth(before, after, name, label=""):
    """Sum over the series of `name` that hold `label`."""
    return sum(value - before.get(series, 0) for series, value in after.items()
               if series.split("{")[0] == name and label in series)


def quantile(before, after, name, q):
    """Of a histogram, as PromQL's histogram_quantile() has it; 0 when nothing was observed."""
    buckets = sorted((float(re.search(r'le="([^"]*)"', series)[1]), value - before.get(series, 0))
                     for series, value in after.items() if series.startswith(f"{name}_bucket{{"))
    if not buckets or not buckets[-1][1]:
        return 0.0
    rank = q * buckets[-1][1]
    lower, below = 0.0, 0.0
    for upper, count in buckets:
        if count >= rank:
            break
        lower, below = upper, count
    if math.isinf(upper):
        return lower
    return lower + (upper - lower) * (rank - below) / (count - below)
