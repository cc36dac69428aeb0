"""Reads and writes neumf checkpoints without any of neumf's own code.

Written from docs/checkpoint_format.md alone, with numpy, so that a test which
puts it against the C++ reader and writer compares two programs. Strict enough
for tests, not hardened: use the C++ reader for files from strangers.

    write_checkpoint("1.safetensors", tensors, activation="tanh")
    checkpoint = read_checkpoint("1.safetensors")
    checkpoint.tensors["item.gmf"]  # numpy array [I, G]
    checkpoint.user_ids             # list of str
"""

import hashlib
import json
import struct

import numpy as np

FORMAT = "neumf.serving.v1"
DTYPES = {"F32": "<f4", "U64": "<u8", "U32": "<u4", "U8": "u1", "F16": "<f2"}
CHUNK_BYTES = 64 << 20
KNOWN_FEATURES = {"user.f16"}


class Checkpoint:
    """What a file holds: arrays by name, the manifest, ids and seen sets."""

    def __init__(self, tensors, manifest, digest):
        self.tensors = tensors
        self.manifest = manifest
        self.digest = digest  # SHA-256 of the header's JSON text, in hex
        self.user_ids = unpack_ids(tensors, "user")
        self.item_ids = unpack_ids(tensors, "item")

    @property
    def activation(self):
        return self.manifest.get("activation", "relu")

    def seen(self, user_row):
        """Item rows that the user has seen, ascending."""
        if "seen.offsets" not in self.tensors:
            return np.empty(0, dtype="<u4")
        begin, end = self.tensors["seen.offsets"][user_row : user_row + 2]
        return self.tensors["seen.items"][int(begin) : int(end)]


def pack_ids(ids, kind):
    """The two tensors of an id table; kind is "user" or "item"."""
    encoded = [identifier.encode("utf-8") for identifier in ids]
    offsets = np.cumsum([0] + [len(text) for text in encoded])
    return {
        f"{kind}.id.offsets": offsets.astype("<u8"),
        f"{kind}.id.bytes": np.frombuffer(b"".join(encoded), dtype="u1"),
    }


def unpack_ids(tensors, kind):
    offsets = [int(offset) for offset in tensors[f"{kind}.id.offsets"]]
    text = tensors[f"{kind}.id.bytes"].tobytes()
    return [text[a:b].decode("utf-8") for a, b in zip(offsets, offsets[1:])]


def pack_seen(rows):
    """The two tensors of the seen sets; rows[u] are item rows of user u."""
    rows = [sorted(set(row)) for row in rows]
    offsets = np.cumsum([0] + [len(row) for row in rows])
    return {
        "seen.offsets": offsets.astype("<u8"),
        "seen.items": np.array([i for row in rows for i in row], dtype="<u4"),
    }


def id_hash(identifier):
    """Of `user.id.hash`: the first 8 bytes, little-endian, of SHA-256."""
    digest = hashlib.sha256(identifier.encode("utf-8")).digest()
    return struct.unpack("<Q", digest[:8])[0]


def tensor_digest(data, chunk_bytes):
    if len(data) <= chunk_bytes:
        return {"sha256": hashlib.sha256(data).hexdigest()}
    chunks = [
        hashlib.sha256(data[at : at + chunk_bytes]).hexdigest()
        for at in range(0, len(data), chunk_bytes)
    ]
    return {"chunk_bytes": chunk_bytes, "sha256_chunks": chunks}


def dtype_name(array):
    for name, dtype in DTYPES.items():
        if array.dtype == np.dtype(dtype):
            return name
    raise ValueError(f"no safetensors type for {array.dtype}")


def checkpoint_bytes(tensors, chunk_bytes=CHUNK_BYTES, **manifest_extra):
    """The file for numpy arrays by name; keyword arguments join the manifest."""
    # Larger elements first, so that every tensor is aligned without a hole.
    names = sorted(tensors, key=lambda name: -tensors[name].dtype.itemsize)
    header = {}
    digests = {}
    parts = []
    offset = 0
    for name in names:
        array = np.ascontiguousarray(tensors[name])
        data = array.tobytes()
        header[name] = {
            "dtype": dtype_name(array),
            "shape": list(array.shape),
            "data_offsets": [offset, offset + len(data)],
        }
        digests[name] = tensor_digest(data, chunk_bytes)
        parts.append(data)
        offset += len(data)
    manifest = {"format_version": 1, "tensors": digests, **manifest_extra}
    header["__metadata__"] = {
        "format": FORMAT,
        "neumf.manifest": json.dumps(manifest, sort_keys=True),
    }
    text = json.dumps(header).encode("utf-8")
    text += b" " * (-(8 + len(text)) % 64)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def write_checkpoint(path, tensors, chunk_bytes=CHUNK_BYTES, **manifest_extra):
    with open(path, "xb") as file:
        file.write(checkpoint_bytes(tensors, chunk_bytes, **manifest_extra))


def verify_digest(name, data, digest):
    expected = tensor_digest(data, digest.get("chunk_bytes", len(data)))
    if "sha256_chunks" in digest and "sha256" in expected:
        expected = {
            "chunk_bytes": digest["chunk_bytes"],
            "sha256_chunks": [expected["sha256"]],
        }
    if digest != expected:
        raise ValueError(f"tensor {name} does not have its digest")


def read_tensor(name, entry, data, digests):
    begin, end = entry["data_offsets"]
    part = data[begin:end]
    if name in digests:
        verify_digest(name, part, digests[name])
    if entry["dtype"] not in DTYPES:
        return None
    array = np.frombuffer(part, dtype=DTYPES[entry["dtype"]])
    return array.reshape(entry["shape"])


def read_checkpoint(path):
    with open(path, "rb") as file:
        content = file.read()
    (length,) = struct.unpack("<Q", content[:8])
    text = content[8 : 8 + length]
    header = json.loads(text)
    metadata = header.pop("__metadata__")
    if metadata["format"] != FORMAT:
        raise ValueError(f"not a neumf checkpoint: {path}")
    manifest = json.loads(metadata["neumf.manifest"])
    unknown = set(manifest.get("required_features", [])) - KNOWN_FEATURES
    if manifest["format_version"] != 1 or unknown:
        raise ValueError("a checkpoint of a newer format")
    data = content[8 + length :]
    tensors = {
        name: read_tensor(name, entry, data, manifest["tensors"])
        for name, entry in header.items()
    }
    return Checkpoint(tensors, manifest, hashlib.sha256(text).hexdigest())
