"""Small random models in the serving form, and checkpoints of them.

    model = random_model(seed=1, users=20, items=50)
    model.publish(directory, version=1)

Written by numpy alone: what a server makes of them is interoperability.
"""

import json
import os
import struct

import paths  # noqa: F401

import neumf_checkpoint
import numpy as np
import oracle


class Model:
    """The tensors of a checkpoint, and the names of its rows."""

    def __init__(self, tensors, activation="relu"):
        self.tensors = tensors
        self.activation = activation

    @property
    def checkpoint(self):
        return neumf_checkpoint.Checkpoint(
            self.tensors, {"activation": self.activation}, digest=""
        )

    @property
    def user_ids(self):
        return neumf_checkpoint.unpack_ids(self.tensors, "user")

    @property
    def item_ids(self):
        return neumf_checkpoint.unpack_ids(self.tensors, "item")

    def rename_items(self, ids):
        self.tensors.update(neumf_checkpoint.pack_ids(ids, "item"))

    def probes(self, num_users, k):
        """The answers for the first users, as an exporter writes them down."""
        checkpoint = self.checkpoint
        return [
            {
                "user_id": user_id,
                "items": [
                    {"item_id": item_id, "score": score}
                    for item_id, score in oracle.expected_top_k(
                        checkpoint, row, k
                    )
                ],
            }
            for row, user_id in enumerate(checkpoint.user_ids[:num_users])
        ]

    def file_bytes(self, **manifest_extra):
        return neumf_checkpoint.checkpoint_bytes(
            self.tensors, activation=self.activation, **manifest_extra
        )

    def publish(self, directory, version, **manifest_extra):
        """Returns the path."""
        content = self.file_bytes(**manifest_extra)
        return publish_bytes(directory, version, content)


def publish_bytes(directory, version, content):
    """Makes `content` a version the way publishers do: all of it or nothing.

    Returns the path.
    """
    temporary = os.path.join(directory, f".{version}.tmp")
    with open(temporary, "wb") as file:
        file.write(content)
    path = os.path.join(directory, f"{version}.safetensors")
    os.rename(temporary, path)
    return path


def foreign_file_bytes():
    """A safetensors file that knows nothing of neumf."""
    header = {
        "weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    }
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(8)


def random_model(
    seed,
    users=20,
    items=50,
    gmf=8,
    tower=(16, 8),
    activation="relu",
    item_bias=True,
    popularity=True,
    seen=True,
    user_hash=False,
    user_ids=None,
    item_ids=None,
):
    """A model of `gmf` columns and a tower of those widths; 0 and () for none.

    The first user has seen nothing and the last one everything. With
    `user_hash` the users are put into the order of their hashes.
    """
    rng = np.random.default_rng(seed)
    user_ids = user_ids or [f"user-{row}" for row in range(users)]
    item_ids = item_ids or [f"item-{row}" for row in range(items)]
    users, items = len(user_ids), len(item_ids)
    tensors = {}
    if user_hash:
        user_ids = sorted(user_ids, key=neumf_checkpoint.id_hash)
        tensors["user.id.hash"] = np.array(
            [neumf_checkpoint.id_hash(user_id) for user_id in user_ids],
            dtype="<u8",
        )
    tensors.update(neumf_checkpoint.pack_ids(user_ids, "user"))
    tensors.update(neumf_checkpoint.pack_ids(item_ids, "item"))
    if gmf:
        tensors["user.gmf"] = _normal(rng, users, gmf)
        tensors["item.gmf"] = _normal(rng, items, gmf)
    if tower:
        tensors.update(_random_tower(rng, users, items, tower))
    if item_bias:
        tensors["item.bias"] = _normal(rng, items)
    if popularity:
        tensors["item.popularity"] = rng.integers(0, 9, items).astype("<f4")
    if seen:
        tensors.update(
            neumf_checkpoint.pack_seen(_random_seen(rng, users, items))
        )
    # Twins, so that there are ties.
    if items > 3:
        for name in ("item.gmf", "item.tower", "item.bias"):
            if name in tensors:
                tensors[name][items - 2] = tensors[name][1]
    return Model(tensors, activation)


def _normal(rng, *shape, scale=0.5):
    """Scores made of these stay below 10, where float32 is exact to 1e-6."""
    return rng.normal(scale=scale, size=shape).astype("<f4")


def _random_tower(rng, users, items, widths):
    tensors = {
        "user.tower": _normal(rng, users, widths[0]),
        "item.tower": _normal(rng, items, widths[0]),
        "head.weight": _normal(rng, widths[-1]),
        "head.bias": _normal(rng, 1),
    }
    for layer, (width_in, width_out) in enumerate(zip(widths, widths[1:]), 2):
        # So values neither grow nor fade with the depth.
        tensors[f"tower.{layer}.weight"] = _normal(
            rng, width_out, width_in, scale=np.sqrt(2 / width_in)
        )
        tensors[f"tower.{layer}.bias"] = _normal(rng, width_out)
    return tensors


def _random_seen(rng, users, items):
    rows = [
        rng.choice(items, size=rng.integers(0, items // 2 + 1), replace=False)
        for _ in range(users)
    ]
    rows[0] = []
    if users > 1:
        rows[-1] = range(items)
    return [[int(item) for item in row] for row in rows]
