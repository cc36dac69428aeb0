"""Tests scripts/r_lazyload.py on hand-made bytes, and scripts/movielens_data for real."""

import bz2
import csv
import gzip
import lzma
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

SOURCE_DIR = os.environ.get("NEUMF_SOURCE_DIR") or os.path.join(os.path.dirname(__file__), "..", "..")
SCRIPTS = os.path.join(SOURCE_DIR, "scripts")
sys.path.insert(0, SCRIPTS)

import r_lazyload  # noqa: E402: found through the line above

SKIPPED = 77  # what ctest takes for "skipped"
NO_PACKAGE = 3  # exit code of movielens_data when apt cannot give the package

NIL = struct.pack(">i", 254)
MISSING_TEXT = struct.pack(">2i", 9, -1)


def ints(*numbers, flags=13):
    return struct.pack(f">2i{len(numbers)}i", flags, len(numbers), *numbers)


def reals(*numbers):
    return struct.pack(f">2i{len(numbers)}d", 14, len(numbers), *numbers)


def text(content, flags=9 | 1 << 15, encoding="utf-8"):
    data = content.encode(encoding)
    return struct.pack(">2i", flags, len(data)) + data


def vector(kind, items, flags=0):
    return struct.pack(">2i", kind | flags, len(items)) + b"".join(items)


def strings(*contents):
    return vector(16, [text(content) for content in contents])


def symbol(name):
    return struct.pack(">i", 1) + text(name)


def pairs(*tagged_values):
    cells = [struct.pack(">i", 2 | 1 << 10) + tag + value for tag, value in tagged_values]
    return b"".join(cells) + NIL


def pairs_without_tags(*values):
    return b"".join(struct.pack(">i", 2) + value for value in values) + NIL


def named_list(**values):
    attributes = pairs((symbol("names"), strings(*values)))
    return vector(19, list(values.values()), flags=1 << 9) + attributes


def serialized(value, version=3):
    encoding = struct.pack(">i5s", 5, b"UTF-8") if version == 3 else b""
    return b"X\n" + struct.pack(">3i", version, 0x40101, 0x30500) + encoding + value


def entry(packed, length):
    return struct.pack(">I", length) + packed


class ParserTest(unittest.TestCase):
    def assert_value(self, value, expected):
        self.assertEqual(r_lazyload.parse(serialized(value)), expected)

    def assert_refused(self, data, reason):
        with self.assertRaisesRegex(ValueError, reason):
            r_lazyload.parse(data)

    def test_reads_vectors(self):
        self.assert_value(ints(1, -2, 3), [1, -2, 3])
        self.assert_value(ints(1, 0, flags=10), [1, 0])
        self.assert_value(reals(0.5, 1e300), [0.5, 1e300])
        self.assert_value(strings("a", "é"), ["a", "é"])
        self.assert_value(text("é", flags=9 | 1 << 14, encoding="latin-1"), "é")
        self.assert_value(NIL, None)

    def test_reads_both_versions(self):
        for version in (2, 3):
            self.assertEqual(r_lazyload.parse(serialized(ints(7), version)), [7])

    def test_missing_values_are_none(self):
        self.assert_value(ints(1, -(2**31)), [1, None])
        self.assert_value(vector(16, [MISSING_TEXT, text("NA")]), [None, "NA"])

    def test_reads_a_length_in_two_halves(self):
        self.assert_value(struct.pack(">i", 13) + struct.pack(">iII2i", -1, 0, 2, 5, 6), [5, 6])

    def test_factors_become_their_labels(self):
        levels = pairs((symbol("levels"), strings("low", "high")), (symbol("class"), strings("factor")))
        self.assert_value(ints(2, -(2**31), 1, flags=13 | 1 << 9) + levels, ["high", None, "low"])

    def test_lists_with_names_become_dicts(self):
        frame = named_list(user=ints(1, 2), rating=reals(4.5, 3))
        self.assert_value(frame, {"user": [1, 2], "rating": [4.5, 3.0]})

    def test_a_symbol_is_read_by_reference(self):
        first_symbol = struct.pack(">i", 255 | 1 << 8)
        first = ints(1, flags=13 | 1 << 9) + pairs((symbol("names"), strings("a")))
        second = ints(2, flags=13 | 1 << 9) + pairs((first_symbol, strings("b")))
        self.assert_value(vector(19, [first, second]), [{"a": 1}, {"b": 2}])

    def test_reads_compact_sequences(self):
        info = pairs_without_tags(symbol("compact_intseq"), symbol("base"), ints(13))
        self.assert_value(struct.pack(">i", 238) + info + reals(4, 10, -1) + NIL, [10, 9, 8, 7])

    def test_refuses_unknown_forms(self):
        self.assert_refused(serialized(struct.pack(">i", 3)), "type 3")
        info = pairs_without_tags(symbol("mmap_integer"), symbol("base"), ints(13))
        self.assert_refused(serialized(struct.pack(">i", 238) + info + reals(1) + NIL), "mmap_integer")
        self.assert_refused(b"A\n3\n", "not an R serialization")
        self.assert_refused(serialized(NIL, version=4), "version 4")

    def test_refuses_every_cut_off_text(self):
        data = serialized(named_list(user=ints(1, 2), title=strings("a", "b")))
        for size in range(len(data)):
            with self.assertRaises(ValueError):
                r_lazyload.parse(data[:size])


class EntryTest(unittest.TestCase):
    def test_reads_every_compression(self):
        data = b"ratings" * 100
        filters = r_lazyload.RAW_LZMA_FILTERS
        for packed in (
            zlib.compress(data),
            b"2" + bz2.compress(data),
            b"Z" + lzma.compress(data, lzma.FORMAT_RAW, filters=filters),
            b"0" + data,
        ):
            self.assertEqual(r_lazyload.decompress_entry(entry(packed, len(data))), data)

    def test_refuses_damage(self):
        packed = zlib.compress(b"ratings")
        damaged = [entry(content, 7) for content in (packed[:-1], b"?" + packed, b"2?", b"Z?")]
        for data in [b"", b"\0\0", entry(packed, 8), *damaged]:
            with self.assertRaises(ValueError):
                r_lazyload.decompress_entry(data)


class PairTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "Rdata")
        first, second = (self.packed(ints(number)) for number in (1, 2))
        index = named_list(
            variables=named_list(one=ints(0, len(first)), two=ints(len(first), len(second))),
            compressed=ints(1),
        )
        with open(self.path + ".rdb", "wb") as file:
            file.write(first + second)
        with open(self.path + ".rdx", "wb") as file:
            file.write(gzip.compress(serialized(index)))

    @staticmethod
    def packed(value):
        data = serialized(value)
        return entry(zlib.compress(data), len(data))

    def test_finds_objects_by_name(self):
        self.assertEqual(r_lazyload.read_object(self.path, "one"), [1])
        self.assertEqual(r_lazyload.read_object(self.path, "two"), [2])

    def test_names_the_objects_when_one_is_not_there(self):
        with self.assertRaisesRegex(ValueError, "no object three; there are one, two"):
            r_lazyload.read_object(self.path, "three")


class MovieLensDataTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out_dir = os.path.join(folder.name, "new", "data")

    def run_script(self):
        script = os.path.join(SCRIPTS, "movielens_data")
        return subprocess.run([script, self.out_dir], capture_output=True, text=True, check=False)

    def rows(self, name):
        with open(os.path.join(self.out_dir, name), encoding="utf-8", newline="") as file:
            return list(csv.reader(file))

    def test_writes_ratings_and_titles_once(self):
        first = self.run_script()
        if first.returncode == NO_PACKAGE:
            self.skipTest(f"apt cannot give the package: {first.stderr.strip()}")
        self.assertEqual((first.returncode, first.stderr), (0, ""))
        ratings, titles = self.rows("ratings.csv"), self.rows("titles.csv")
        self.assertEqual(ratings[0], ["userId", "movieId", "rating", "timestamp"])
        self.assertEqual(ratings[1], ["1", "31", "2.5", "1260759144"])
        self.assertEqual(titles[:2], [["item_id", "title"], ["1", "Toy Story (1995)"]])
        self.assertIn(["11", "American President, The (1995)"], titles)
        self.assertIn(["51372", '"Great Performances" Cats (1998)'], titles)
        self.assertEqual({row[1] for row in ratings[1:]}, {row[0] for row in titles[1:]})

        second = self.run_script()
        self.assertEqual(second.returncode, 0)
        self.assertIn("nothing to do", second.stdout)


def main():
    result = unittest.main(exit=False).result
    if not result.wasSuccessful():
        return 1
    return SKIPPED if result.skipped else 0


if __name__ == "__main__":
    sys.exit(main())
