"""What a server must answer, computed slowly and in float64.

    score(u, i) = user.gmf[u] . item.gmf[i] + item.bias[i]
                + head . act(W_L ... act(W_2 act(user.tower[u] + item.tower[i])
                                         + b_2) ... + b_L) + c

Ranks by score, best first, ties by item row. The server computes in float32, so
items whose scores lie within its rounding may change places: compare with
`explains()`.
"""

import numpy as np

ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
}


def tower_scores(checkpoint, user_row):
    tensors = checkpoint.tensors
    activate = ACTIVATIONS[checkpoint.activation]
    user = tensors["user.tower"][user_row].astype(np.float64)
    values = activate(user + tensors["item.tower"].astype(np.float64))
    layer = 2
    while f"tower.{layer}.weight" in tensors:
        weight = tensors[f"tower.{layer}.weight"].astype(np.float64)
        bias = tensors[f"tower.{layer}.bias"].astype(np.float64)
        values = activate(values @ weight.T + bias)
        layer += 1
    return values @ tensors["head.weight"].astype(np.float64)


def scores(checkpoint, user_row):
    """float64 [I]: the score of every item for the user in that row."""
    tensors = checkpoint.tensors
    result = np.zeros(len(checkpoint.item_ids))
    if "user.gmf" in tensors:
        user = tensors["user.gmf"][user_row].astype(np.float64)
        result += tensors["item.gmf"].astype(np.float64) @ user
    if "user.tower" in tensors:
        result += tower_scores(checkpoint, user_row)
    if "item.bias" in tensors:
        result += tensors["item.bias"]
    if "head.bias" in tensors:
        result += float(tensors["head.bias"][0])
    return result + 0.0  # -0.0 counts as 0.0


def eligible_rows(checkpoint, user_row, excluded_ids=(), seen="drop"):
    """Item rows that may be in an answer; seen is "drop", "keep" or "only"."""
    rows = np.arange(len(checkpoint.item_ids))
    if seen == "drop":
        rows = np.setdiff1d(rows, checkpoint.seen(user_row))
    if seen == "only":
        rows = checkpoint.seen(user_row).astype(np.int64)
    excluded = set(excluded_ids)
    return np.array(
        [row for row in rows if checkpoint.item_ids[row] not in excluded],
        dtype=np.int64,
    )


def rank(values, rows, k):
    """The k best of `rows` by `values`, ties by row."""
    order = np.lexsort((rows, -values[rows]))
    return rows[order][:k]


def expected_top_k(checkpoint, user_row, k, excluded_ids=(), seen="drop"):
    """[(item_id, score)], best first, min(k, eligible) of them."""
    values = scores(checkpoint, user_row)
    rows = eligible_rows(checkpoint, user_row, excluded_ids, seen)
    return [
        (checkpoint.item_ids[row], float(values[row]))
        for row in rank(values, rows, k)
    ]


def expected_popular(checkpoint, k, excluded_ids=()):
    """[(item_id, popularity)] for a user that nobody knows."""
    excluded = set(excluded_ids)
    rows = np.array(
        [r for r, id_ in enumerate(checkpoint.item_ids) if id_ not in excluded],
        dtype=np.int64,
    )
    values = checkpoint.tensors["item.popularity"].astype(np.float64) + 0.0
    return [
        (checkpoint.item_ids[row], float(values[row]))
        for row in rank(values, rows, k)
    ]


def explains(checkpoint, user_row, answer, k, excluded_ids=(), seen="drop",
             tolerance=1e-4):
    """None when `answer`, [(item_id, score)], is right; else what is wrong.

    Scores must be within `tolerance`. Items may differ from the float64 ranking
    only where scores are that close.
    """
    expected = expected_top_k(checkpoint, user_row, k, excluded_ids, seen)
    ids = [item_id for item_id, _ in answer]
    if len(ids) != len(expected):
        return f"{len(ids)} items, not {len(expected)}"
    if len(set(ids)) != len(ids):
        return "an item is there twice"
    values = scores(checkpoint, user_row)
    row_of = {id_: row for row, id_ in enumerate(checkpoint.item_ids)}
    allowed = set(eligible_rows(checkpoint, user_row, excluded_ids, seen))
    for place, ((item_id, score), (_, best)) in enumerate(zip(answer, expected)):
        if row_of.get(item_id) not in allowed:
            return f"place {place}: {item_id} is not eligible"
        truth = values[row_of[item_id]]
        if abs(score - truth) > tolerance:
            return f"place {place}: {item_id} has {score}, not {truth}"
        if abs(truth - best) > tolerance:
            return f"place {place}: {item_id} has {truth}, the place {best}"
    return None
