#!/usr/bin/env python3
"""Makes the first inputs of the fuzzers: small, and each different.

    tests/fuzz/make_corpus.py
"""

import hashlib
import json
import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support" / "python"))

import neumf_checkpoint as nc  # noqa: E402


def floats(*shape):
    values = np.arange(int(np.prod(shape)), dtype="<f4") % 7 - 3
    return (values / 4).reshape(shape)


def ids(users, items):
    return {**nc.pack_ids(users, "user"), **nc.pack_ids(items, "item")}


def dot_product():
    return {
        "user.gmf": floats(1, 1),
        "item.gmf": floats(2, 1),
        **ids(["u"], ["a", "b"]),
    }


def tower():
    return {
        "user.tower": floats(2, 2),
        "item.tower": floats(2, 2),
        "tower.2.weight": floats(1, 2),
        "tower.2.bias": floats(1),
        "head.weight": floats(1),
        **ids(["u", "ü"], ["a", "b"]),
    }


def everything():
    users = sorted(["u", "v"], key=nc.id_hash)
    return {
        **dot_product(),
        "user.gmf": floats(2, 1),
        **tower(),
        "head.bias": floats(1),
        "item.bias": floats(2),
        "item.popularity": floats(2),
        "user.id.hash": np.array([nc.id_hash(u) for u in users], dtype="<u8"),
        "history.gmf": floats(2, 1),
        **ids(users, ["a", "b"]),
        **nc.pack_seen([[0], [0, 1]]),
    }


PROBES = [{"user_id": "u", "items": [{"item_id": "a", "score": 0.5}]}]
INPUTS = {
    "dot_product": (dot_product(), {}),
    "tower": (tower(), {"activation": "tanh"}),
    "everything": (
        everything(),
        {"chunk_bytes": 4, "probes": PROBES, "model_kind": "neumf",
         "training": {"losses": [1, 0.5]}, "required_features": []},
    ),
}


# Changes as checkpoint_tensors_fuzz.cc reads them: tensor, place, new value.
CHANGES = {
    "none": [],
    "one": [(0, 0, 9, 1)],
    "some": [(tensor, tensor // 3, tensor, 255 - tensor) for tensor in range(17)],
}


def varint(value):
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number, value):
    """A field of a protobuf message: an int, or a text or message in bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def request(user, k=0, exclude=(), seen_policy=0, unknown_user_policy=0):
    return (field(1, user) + field(2, k)
            + b"".join(field(3, item) for item in exclude)
            + field(4, seen_policy) + field(5, unknown_user_policy))


# Of users "u0" to "u6" and items "i0" to "i39", as query_builder_fuzz.cc has.
REQUESTS = {
    "one": [request(b"u0")],
    "few": [request(b"u1", k=3, exclude=[b"i7", b"i39", b"i7", b"nothing"])],
    "policies": [request(b"u2", k=5, seen_policy=p) for p in range(5)],
    "unknown": [request(b"new", k=50, unknown_user_policy=p) for p in range(4)],
    "popular": [request(b"new", k=40, exclude=[b"i0"], unknown_user_policy=2)],
    "refused": [request(b""), request(b"u3", k=2**31), request(b"u3", k=1001),
                request(b"u3", exclude=[b""]), request(b"\xc3\x28")],
    "most": [request(b"u4", k=1000, exclude=[b"i%d" % i for i in range(40)]),
             request(b"u4", k=1000, seen_policy=3)],
    "empty": [],
}


# The letter of a format and its files, as data_readers_fuzz.cc reads them.
DATA = {
    "ml_100k": ("m", "1\t5\t3\t30\n1\t6\t4\t10\n\n2\t5\t5\t20\n1\t7\t4\t30\n"),
    "ua": ("u", "1\t5\t3\t30\n1\t6\t4\t10\n", "1\t7\t5\t9\n2\t5\t1\t9\n"),
    "ml_1m": ("d", "1::5::3::30\n1::6::4::10\r\n02::5::5::20\n"),
    "ml_latest": ("r", "userId,movieId,rating,timestamp\n1,31,2.5,12\n1,7,4,12\n"),
    "csv": ("c", 'user,item,rating,time\nann,"a ""b"", c",5,1\nü,x,-1e9,-7\nann,y,4,2\n',
            "item_id\ttitle\nx\ty\n"),
    "ncf": ("n", "0\t1\t1\t0\n0\t2\t1\t1\n1\t1\t1\t0\n", "0\t3\t5\t99\n1\t2\t4\t98\n",
            "(0,3)\t4\t3\t5\n(1,2)\t6\t6\n"),
    "light_gcn": ("g", "0 1 2 3\n1 2\n7\n", "0 4 5\n1\n8 1 \n"),
}


# The same for features_fuzz.cc: features of 1 and 2.
FEATURES = {
    "u_user": "u1|24|M|technician|85711\n2|53|F|other|94043\n3|1|F|x|0\n",
    "u_item": "".join(f"{i}|X|{date}||" + "|0|1" * 9 + "|0\n"
                      for i, date in ((1, "01-Jan-1995"), (2, ""))),
    "users_dat": "U1::F::1::10::48067\n2::M::56::16::70072\n",
    "movies_dat": "I1::Toy Story (1995)::Animation|Children's\n2::No year::Drama\n",
    "csv": 'citem_id,genre,studio\n1,Drama|War,"Smith, Sons"\n2,,x\n',
}


TOKEN_TABLES = {
    "tokens": f"# callers\nsha256:{'0a' * 32} web recommend,recommend.seen\r\n"
              f"\nsha256:{'F5' * 32}\tops\tmodels.read # by hand\n",
    "certificate": "san:web.example.com web recommend",
    "same_twice": f"sha256:{'0a' * 32} web recommend\n" * 2,
    "short_hash": f"sha256:{'0a' * 31} web recommend",
    "unknown_right": f"sha256:{'0a' * 32} web everything",
    "nobody": "# nobody\n",
}

QUOTA_TABLES = {
    "quotas": "# users\nshop 500 2000\r\n\n*\t0.5 1 # few\nreports unlimited\n",
    "same_twice": "shop 5 20\n* 5 20\nshop 5 20\n",
    "no_number": "* nan inf\n",
    "huge": "* 1e308 1e-308\n",
    "another_form": "shop 5 20 30\n",
    "nobody": "# nobody\n",
}

BLOCKED_IDS = {
    "ids": '# two\nmovie-42\n\n"#1 hit"\n',
    "escapes": '"a\\n\\x41\\u00e9"\n',
    "not_closed": '"a\\"\n',
    "space": "a \n",
    "windows": "a\r\n",
    "cut_off": "a\nb",
    "nothing": "# none\n",
}


def safetensors(tensors, metadata):
    """As trainer/tensor_file.cc writes it; tensors are (name, type, shape, data)."""
    header, data = {"__metadata__": metadata}, b""
    for name, dtype, shape, content in tensors:
        header[name] = {"data_offsets": [len(data), len(data) + len(content)],
                        "dtype": dtype, "shape": shape}
        data += content
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return len(text).to_bytes(8, "little") + text + data


def digested(tensors, metadata):
    """The same with a digest of everything else."""
    digest = hashlib.sha256(safetensors(tensors, metadata)).hexdigest()
    return safetensors(tensors, dict(sorted(
        {**metadata, "neumf.sha256": digest}.items())))


TABLE = np.array([[0.5, -1], [2, 3]])
TENSOR_FILES = {
    "pytorch": safetensors([
        ("P.weight", "F32", [2, 2], TABLE.astype("<f4").tobytes()),
        ("Q.weight", "F16", [2, 2], TABLE.astype("<f2").tobytes()),
        ("h.bias", "F64", [4], TABLE.astype("<f8").tobytes()),
        ("b.bias", "BF16", [1], b"\x80\x3f"),
        ("none", "F32", [0, 3], b""),
    ], {"format": "pt"}),
    "digested": digested(
        [("a", "F32", [2, 2], TABLE.astype("<f4").tobytes()),
         ("b", "F32", [1], TABLE[0, :1].astype("<f4").tobytes())],
        {"kind": "weights"}),
    "integers": safetensors([("steps", "I64", [1], bytes(8))], {}),
    "not_finite": safetensors([("a", "F16", [1], b"\x00\x7c")], {}),
}


def main():
    for folder in ("blocked_ids", "checkpoint", "checkpoint_tensors",
                   "data_readers", "features", "manifest", "query_builder",
                   "quota_table", "tensor_file", "token_table"):
        (HERE / "corpus" / folder).mkdir(parents=True, exist_ok=True)
    for name, (letter, *files) in DATA.items():
        content = letter + "\x1e".join(files)
        (HERE / "corpus/data_readers" / name).write_bytes(content.encode())
    for name, content in FEATURES.items():
        (HERE / "corpus/features" / name).write_bytes(content.encode())
    for name, changes in CHANGES.items():
        content = b"".join(bytes(change) for change in changes)
        (HERE / "corpus/checkpoint_tensors" / name).write_bytes(content)
    for name, text in TOKEN_TABLES.items():
        (HERE / "corpus/token_table" / name).write_text(text)
    for name, text in QUOTA_TABLES.items():
        (HERE / "corpus/quota_table" / name).write_text(text)
    for name, content in TENSOR_FILES.items():
        (HERE / "corpus/tensor_file" / name).write_bytes(content)
    for name, text in BLOCKED_IDS.items():
        (HERE / "corpus/blocked_ids" / name).write_text(text, newline="")
    for name, requests in REQUESTS.items():
        content = b"".join(field(1, message) for message in requests)
        (HERE / "corpus/query_builder" / name).write_bytes(content)
    for name, (tensors, extra) in INPUTS.items():
        content = nc.checkpoint_bytes(tensors, **extra)
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        (HERE / "corpus/checkpoint" / name).write_bytes(content)
        (HERE / "corpus/manifest" / name).write_text(
            header["__metadata__"]["neumf.manifest"])


if __name__ == "__main__":
    main()
