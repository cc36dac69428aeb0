"""Whether two servers give the same answers.

An answer is a list of [item, score], best first.
"""

# Of a score, or of 1 where it is smaller: float32 sums in another order.
TOLERANCE = 1e-4


def _close(a, b):
    return abs(a - b) <= TOLERANCE * max(1, abs(a), abs(b))


def difference(ours, theirs):
    """What differs, in words, or None. Items whose scores are equal up to rounding may
    have changed places, or have made room for one that just missed the answer."""
    if len(ours) != len(theirs):
        return f"{len(ours)} answers and {len(theirs)}"
    for user, (one, other) in enumerate(zip(ours, theirs)):
        if not one or len(one) != len(other):
            return f"user {user}: {len(one)} items and {len(other)}"
        for place, ((_, a), (_, b)) in enumerate(zip(one, other)):
            if not _close(a, b):
                return f"user {user}, place {place}: scores {a} and {b}"
        scores = dict(map(tuple, one))
        last = one[-1][1]
        for item, score in other:
            if not _close(scores.get(item, last), score):
                return f"user {user}: {item} has {scores.get(item)} and {score}"
    return None
