#!/usr/bin/env python3
"""Makes the golden files of checkpoint format version 1, byte for byte.

    tests/golden/make_golden.py [FOLDER]   # default: this folder

format_v1.safetensors is a checkpoint of random numbers, format_v1.json what a
server must answer from it. The files of format_v1/ are smaller: one for each way
to write the same kind of thing, by name. A checkpoint never changes: a reader of
any later version must take it. The numbers come from SHA-256, so they are the
same with every version of numpy.
"""

import hashlib
import itertools
import json
import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support" / "python"))

import neumf_checkpoint as nc  # noqa: E402
import oracle  # noqa: E402

NUM_USERS = 60
NUM_ITEMS = 150
GMF_WIDTH = 8
TOWER_WIDTHS = [32, 16, 8]
TOP_K = 10
# More than one chunk for the larger tensors.
CHUNK_BYTES = 4096

# Of the files in format_v1/.
SMALL_USERS = 12
SMALL_ITEMS = 40
SMALL_GMF_WIDTH = 4
SMALL_TOWER_WIDTHS = [8, 4]
SMALL_CHUNK_BYTES = 100  # of which the last is shorter, in most tensors
SMALL_ACTIVATIONS = {"index": "tanh", "hash": "sigmoid"}


def integers(name, count):
    """`count` numbers below 2**32 that depend on `name` alone."""
    blocks = [
        hashlib.sha256(f"{name}/{block}".encode()).digest()
        for block in range(count // 8 + 1)
    ]
    return np.frombuffer(b"".join(blocks), dtype="<u4")[:count]


def floats(name, *shape):
    """Multiples of 2**-16 from -1 to 1, so that float32 holds them exactly."""
    count = int(np.prod(shape))
    steps = integers(name, count).astype(np.int64) % (1 << 17) - (1 << 16)
    return (steps / (1 << 16)).astype("<f4").reshape(shape)


def user_ids():
    ids = [f"user-{number}" for number in range(NUM_USERS - 2)]
    ids += ["Zoë", "用户"]  # ids are UTF-8
    return sorted(ids, key=nc.id_hash)


def item_ids():
    return [str(number) for number in range(1, NUM_ITEMS)] + ["été"]


def seen_rows():
    rows = []
    for user in range(NUM_USERS):
        count = int(integers(f"seen count {user}", 1)[0] % 12)
        rows.append([int(i) % NUM_ITEMS for i in integers(f"seen {user}", count)])
    rows[7] = list(range(NUM_ITEMS))  # has seen everything
    rows[8] = list(range(NUM_ITEMS - 4))  # four items are left
    return rows


def network(widths):
    tensors = {}
    for layer in range(2, len(widths) + 1):
        inputs, outputs = widths[layer - 2], widths[layer - 1]
        tensors[f"tower.{layer}.weight"] = floats(f"W{layer}", outputs, inputs) / 4
        tensors[f"tower.{layer}.bias"] = floats(f"b{layer}", outputs)
    tensors["head.weight"] = floats("head", widths[-1])
    tensors["head.bias"] = floats("c", 1)
    return tensors


def make_tensors():
    tensors = {
        "user.gmf": floats("user.gmf", NUM_USERS, GMF_WIDTH),
        "item.gmf": floats("item.gmf", NUM_ITEMS, GMF_WIDTH),
        "user.tower": floats("user.tower", NUM_USERS, TOWER_WIDTHS[0]),
        "item.tower": floats("item.tower", NUM_ITEMS, TOWER_WIDTHS[0]),
        "item.bias": floats("item.bias", NUM_ITEMS),
        "item.popularity": (integers("popularity", NUM_ITEMS) % 500).astype("<f4"),
        "user.id.hash": np.array([nc.id_hash(u) for u in user_ids()], dtype="<u8"),
        **network(TOWER_WIDTHS),
        **nc.pack_ids(user_ids(), "user"),
        **nc.pack_ids(item_ids(), "item"),
        **nc.pack_seen(seen_rows()),
    }
    # Two items that tie for everyone: the lower row comes first.
    for name in ("item.gmf", "item.tower", "item.bias"):
        tensors[name][41] = tensors[name][40]
    return tensors


def small_tensors(form, found_by):
    """The least that a form needs; the optional rest comes with the hashes."""
    user_ids = [f"user-{number}" for number in range(SMALL_USERS - 1)] + ["Zoë"]
    if found_by == "hash":
        user_ids.sort(key=nc.id_hash)
    item_ids = [str(number) for number in range(1, SMALL_ITEMS + 1)]
    tensors = {**nc.pack_ids(user_ids, "user"), **nc.pack_ids(item_ids, "item")}
    if form in ("dot", "both"):
        tensors["user.gmf"] = floats("small p", SMALL_USERS, SMALL_GMF_WIDTH)
        tensors["item.gmf"] = floats("small q", SMALL_ITEMS, SMALL_GMF_WIDTH)
    if form in ("tower", "both"):
        width = SMALL_TOWER_WIDTHS[0]
        tensors["user.tower"] = floats("small u", SMALL_USERS, width)
        tensors["item.tower"] = floats("small v", SMALL_ITEMS, width)
        tensors.update(network(SMALL_TOWER_WIDTHS))
    if found_by == "hash":
        hashes = [nc.id_hash(user_id) for user_id in user_ids]
        tensors["user.id.hash"] = np.array(hashes, dtype="<u8")
        tensors["item.bias"] = floats("small bias", SMALL_ITEMS)
        tensors["item.popularity"] = (
            integers("small popularity", SMALL_ITEMS) % 500).astype("<f4")
        seen = [sorted({int(i) % SMALL_ITEMS
                        for i in integers(f"small seen {user}", user)})
                for user in range(SMALL_USERS)]
        tensors.update(nc.pack_seen(seen))
    return tensors


def small_files():
    """(name, content) of the files in format_v1/."""
    forms = ("dot", "tower", "both")
    for form, found_by, digests in itertools.product(
        forms, ("index", "hash"), ("whole", "chunked")
    ):
        content = nc.checkpoint_bytes(
            small_tensors(form, found_by),
            SMALL_CHUNK_BYTES if digests == "chunked" else nc.CHUNK_BYTES,
            activation=SMALL_ACTIVATIONS[found_by],
        )
        yield f"{form}_{found_by}_{digests}", content
    for form in forms:
        tensors = small_tensors(form, "hash")
        for name in {"user.gmf", "user.tower"} & tensors.keys():
            tensors[name] = tensors[name].astype("<f2")
        content = nc.checkpoint_bytes(
            tensors, SMALL_CHUNK_BYTES, required_features=["user.f16"])
        yield f"{form}_float16", content


def best_items(checkpoint, user_row, k):
    """(id, score) pairs, rounded so that no machine's last bit shows."""
    return [
        (item_id, round(score, 6))
        for item_id, score in oracle.expected_top_k(checkpoint, user_row, k)
    ]


def probes_of(tensors):
    bare = nc.Checkpoint(tensors, {}, "")
    return [
        {
            "user_id": bare.user_ids[row],
            "items": [
                {"item_id": item_id, "score": score}
                for item_id, score in best_items(bare, row, 5)
            ],
        }
        for row in (0, 1)
    ]


def expected_text(content, checkpoint):
    """The JSON with one line for each user."""
    users = ",\n".join(
        f"  {json.dumps(user_id, ensure_ascii=False)}: "
        + json.dumps(best_items(checkpoint, row, TOP_K), ensure_ascii=False)
        for row, user_id in enumerate(checkpoint.user_ids)
    )
    sha256 = hashlib.sha256(content).hexdigest()
    return (
        f'{{"digest": "{checkpoint.digest}",\n "sha256": "{sha256}",\n'
        f' "k": {TOP_K},\n "users": {{\n{users}}}}}\n'
    )


def write_with_answers(path, content):
    path.write_bytes(content)
    text = expected_text(content, nc.read_checkpoint(path))
    path.with_suffix(".json").write_text(text, encoding="utf-8")


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    (folder / "format_v1").mkdir(exist_ok=True)
    for name, content in small_files():
        write_with_answers(folder / "format_v1" / f"{name}.safetensors", content)
    tensors = make_tensors()
    content = nc.checkpoint_bytes(
        tensors,
        CHUNK_BYTES,
        activation="relu",
        model_kind="neumf",
        created_at="2020-01-01T00:00:00Z",
        probes=probes_of(tensors),
        training={"data": "synthetic", "seed": 1},
        metrics={"hit@10": 0.5},
    )
    write_with_answers(folder / "format_v1.safetensors", content)


if __name__ == "__main__":
    main()
