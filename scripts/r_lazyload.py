"""Reads R's lazy-load pair (NAME.rdx, NAME.rdb) without R.

The .rdx file is a compressed R serialization of a list; its element `variables`
says for each object where its entry lies in the .rdb file. An entry is the
serialization of that object, compressed.

    movielens = read_object("data/Rdata", "movielens")

What comes back: a vector is a list, a factor the list of its labels, a list with
names a dict, and so a data frame a dict of columns. Missing integers, logicals,
strings and labels are None, missing reals NaN. Data that is cut off and values
that this reader does not know, such as functions, are a ValueError.
"""

import bz2
import lzma
import struct
import zlib

# The low byte of an item's flags: R's SEXPTYPE numbers and the codes that
# serialize.c adds to them.
SYMBOL, PAIRLIST, CHARS, LOGICALS, INTEGERS, REALS, STRINGS, LIST = 1, 2, 9, 10, 13, 14, 16, 19
ALTREP, ATTRIBUTED_PAIRLIST, NIL, REFERENCE = 238, 239, 254, 255

HAS_ATTRIBUTES, HAS_TAG, IS_LATIN1 = 1 << 9, 1 << 10, 1 << 14
MISSING_INTEGER = -(2**31)
RAW_LZMA_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6}]


def read_object(path, name):
    """The object `name` of the pair `path`.rdx and `path`.rdb."""
    with open(path + ".rdx", "rb") as index:
        variables = parse(decompress_file(index.read()))["variables"]
    if name not in variables:
        raise ValueError(f"{path}.rdx: no object {name}; there are {', '.join(variables)}")
    offset, length = variables[name]
    with open(path + ".rdb", "rb") as entries:
        entries.seek(offset)
        return parse(decompress_entry(entries.read(length)))


def decompress_file(data):
    """A file that R's saveRDS() compressed with gzip, bzip2 or xz."""
    if data.startswith(b"BZh"):
        return unpack(bz2.decompress, data)
    if data.startswith(b"\xfd7zXZ"):
        return unpack(lzma.decompress, data)
    return unpack(inflate, data)


def decompress_entry(entry):
    """An entry of an .rdb file: length, then zlib data or a letter and its data."""
    if len(entry) < 5:
        raise ValueError("an entry of the .rdb file is cut off")
    (length,) = struct.unpack(">I", entry[:4])
    kind, packed = entry[4:5], entry[5:]
    if kind == b"2":
        data = unpack(bz2.decompress, packed)
    elif kind == b"Z":
        data = unpack(lzma_decompress_raw, packed)
    elif kind == b"0":
        data = packed
    else:
        data = unpack(inflate, entry[4:])
    if len(data) != length:
        raise ValueError(f"an entry of the .rdb file has {len(data)} bytes, not {length}")
    return data


def lzma_decompress_raw(data):
    return lzma.decompress(data, lzma.FORMAT_RAW, filters=RAW_LZMA_FILTERS)


def inflate(data):
    return zlib.decompress(data, wbits=47)  # 47: gzip or zlib, whichever it is


def unpack(decompress, data):
    """`decompress(data)`, with one kind of error for all libraries."""
    try:
        return decompress(data)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise ValueError(f"damaged compressed data: {error}") from error


def parse(data):
    """The value that `data`, an R serialization in XDR form, holds."""
    return Parser(data).parse()


class Parser:
    """Reads one value; keeps the place and the symbols that later parts refer to."""

    def __init__(self, data):
        self.data = data
        self.at = 0
        self.symbols = []

    def parse(self):
        if self.take(2) != b"X\n":
            raise ValueError("not an R serialization in XDR form")
        version, _writer, _oldest_reader = self.unpack("3i")
        if version == 3:
            self.take(self.integer())  # the native encoding; every string says its own
        elif version != 2:
            raise ValueError(f"R serialization of version {version}; 2 and 3 are known")
        return self.value()

    def take(self, size):
        if size < 0 or self.at + size > len(self.data):
            raise ValueError("the R serialization is cut off")
        self.at += size
        return self.data[self.at - size : self.at]

    def unpack(self, layout):
        layout = ">" + layout
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def integer(self):
        return self.unpack("i")[0]

    def length(self):
        length = self.integer()
        if length == -1:  # a long vector: the length in two halves
            high, low = self.unpack("2I")
            length = (high << 32) + low
        return length

    def value(self):
        flags = self.integer()
        kind = flags & 0xFF
        if kind == NIL:
            return None
        if kind == REFERENCE:
            return self.symbols[(flags >> 8 or self.integer()) - 1]
        if kind == SYMBOL:
            self.symbols.append(self.value())
            return self.symbols[-1]
        if kind == CHARS:
            return self.text(flags)
        if kind in (PAIRLIST, ATTRIBUTED_PAIRLIST):
            return self.pairlist(flags)
        if kind == ALTREP:
            return self.altrep()
        values = self.vector(kind)
        attributes = self.value() if flags & HAS_ATTRIBUTES else None
        return with_attributes(values, dict(attributes or []))

    def text(self, flags):
        length = self.integer()
        if length == -1:
            return None
        return self.take(length).decode("latin-1" if flags & IS_LATIN1 else "utf-8")

    def pairlist(self, flags):
        """A list of (tag, value). The tail is the next value: here a loop, not a recursion."""
        pairs = []
        while flags & 0xFF in (PAIRLIST, ATTRIBUTED_PAIRLIST):
            if flags & HAS_ATTRIBUTES:
                self.value()
            tag = self.value() if flags & HAS_TAG else None
            pairs.append((tag, self.value()))
            flags = self.integer()
        if flags & 0xFF != NIL:
            raise ValueError("a pairlist that does not end")
        return pairs

    def vector(self, kind):
        if kind in (INTEGERS, LOGICALS):
            numbers = self.unpack(f"{self.length()}i")
            return [None if n == MISSING_INTEGER else n for n in numbers]
        if kind == REALS:
            return list(self.unpack(f"{self.length()}d"))
        if kind in (STRINGS, LIST):
            return [self.value() for _ in range(self.length())]
        raise ValueError(f"an R value of type {kind}, which this reader does not know")

    def altrep(self):
        """A vector that R stored as a rule: so far only evenly spaced numbers are known."""
        (_, name), _package, _type = self.value()
        state = self.value()
        attributes = dict(self.value() or [])
        if name not in ("compact_intseq", "compact_realseq"):
            raise ValueError(f"a vector in the form {name}, which this reader does not know")
        count, first, step = state
        number = int if name == "compact_intseq" else float
        values = [number(first + step * k) for k in range(int(count))]
        return with_attributes(values, attributes)


def with_attributes(values, attributes):
    """`values` as what its attributes make of it: a factor, a dict, or as it is."""
    if "levels" in attributes:
        levels = attributes["levels"]
        return [None if code is None else levels[code - 1] for code in values]
    if "names" in attributes:
        return dict(zip(attributes["names"], values))
    return values
