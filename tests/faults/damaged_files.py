"""Damaged files are refused and listed, each for what is wrong with it, and the
served version is not disturbed.

tests/checkpoint/damaged_files_test.cc does the same with 10,000 files and the
reader alone; here are some of each kind, in front of a whole server.
"""

import copy
import random
import struct
import tempfile

import trial  # finds the modules below

import models
import neumf_checkpoint
from daemon import Daemon
from protos import model_pb, recommendation_pb as pb

NUM_ROUNDS = 100 if trial.LONG else 3


def flipped(content, at, mask=1):
    return content[:at] + bytes([content[at] ^ mask]) + content[at + 1:]


def data_begin(content):
    return 8 + struct.unpack("<Q", content[:8])[0]


def truncated(content, rng):
    return content[:rng.randrange(len(content))]


def appended(content, rng):
    return content + rng.randbytes(1 + rng.randrange(1000))


def flipped_data(content, rng):
    at = rng.randrange(data_begin(content), len(content))
    return flipped(content, at, 1 << rng.randrange(8))


def wrong_length(content, rng):
    return struct.pack("<Q", rng.randrange(1 << 21, 1 << 64)) + content[8:]


def no_json(content, rng):
    return flipped(content, rng.randrange(8, data_begin(content)), 0x80)


DAMAGES_OF_BYTES = [
    (truncated, ("too short", "passes the end", "no range")),
    (appended, ("the tensors end at",)),
    (flipped_data, ("SHA-256",)),
    (wrong_length, ("header length",)),
    (no_json, ("header",)),
]


def with_value(name, value):
    def damage(tensors, rng):
        flat = tensors[name].reshape(-1)
        flat[rng.randrange(flat.size)] = value
    return damage


def same_id_twice(tensors, _):
    ids = neumf_checkpoint.unpack_ids(tensors, "user")
    tensors.update(neumf_checkpoint.pack_ids([ids[1], *ids[1:]], "user"))


def unsorted_seen(tensors, _):
    tensors["seen.items"][:] = 0


DAMAGES_OF_TENSORS = [
    (with_value("item.gmf", float("nan")), ("not finite",)),
    (with_value("user.tower", float("inf")), ("not finite",)),
    (with_value("seen.offsets", 1 << 62), ("seen.items",)),
    (with_value("item.id.offsets", 1 << 62), ("item.id.offsets",)),
    (same_id_twice, ("user.id.bytes",)),
    (unsorted_seen, ("seen.items",)),
]

WRONG_PROBE = [{"user_id": "user-1",
                "items": [{"item_id": "item-1", "score": 1e6}]}]
MANIFESTS = [
    ({"probes": WRONG_PROBE}, ("probe of user",)),
    ({"required_features": ["time_travel"]}, ("time_travel",)),
    ({"format_version": 2}, ("format_version 2",)),
]


def damaged_files(model, rng):
    """(content, texts of which the reason must hold one)"""
    for damage, reasons in DAMAGES_OF_BYTES:
        yield damage(model.file_bytes(), rng), reasons
    for damage, reasons in DAMAGES_OF_TENSORS:
        changed = copy.deepcopy(model)
        changed.tensors = {name: array.copy()
                           for name, array in model.tensors.items()}
        damage(changed.tensors, rng)
        yield changed.file_bytes(), reasons
    for extra, reasons in MANIFESTS:
        yield model.file_bytes(**extra), reasons
    yield models.foreign_file_bytes(), ("no format",)


def refusal(stub, version):
    """The reason of the version's refusal; none while it is not refused."""
    listed = stub.ListModelVersions(
        model_pb.ListModelVersionsRequest(), timeout=trial.CALL_SECONDS)
    return next((record.reason for record in listed.versions
                 if record.version == str(version) and
                 record.state == model_pb.MODEL_STATE_REFUSED), None)


def publish_damaged(directory, version, daemon, stub, model, rng):
    """One of each kind, after `version`; returns the last one's number."""
    for content, reasons in damaged_files(model, rng):
        version += 1
        models.publish_bytes(directory, version, content)
        reason = daemon.wait_until(lambda number=version: refusal(stub, number))
        assert any(text in reason for text in reasons), (reason, reasons)
    return version


def main():
    rng = random.Random(1)
    model = models.random_model(seed=1, users=20, items=50)
    request = pb.RecommendRequest(user_id=model.user_ids[0], k=10)
    version = 1
    with tempfile.TemporaryDirectory() as directory:
        model.publish(directory, version)
        with Daemon(directory) as daemon:
            stub = daemon.models()
            # Connects: a connection that stays is none that was left behind.
            assert refusal(stub, version) is None
            with trial.survived(daemon, request):
                for _ in range(NUM_ROUNDS):
                    version = publish_damaged(directory, version, daemon, stub,
                                              model, rng)
            # The directory is as good as before.
            model.publish(directory, version + 1)
            daemon.wait_until(
                lambda: trial.answer(daemon, request).model_version ==
                str(version + 1))


if __name__ == "__main__":
    main()
