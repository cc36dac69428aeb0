"""Reads R's lazy-load pair (NAME.rdx, NAME.rdb) without R.

The .rdx file is a compressed R serialization of a list; its element `variables`
says for each object where its entry lies in the .rdb file. An entry is the
serialization of that object, compressed.

    read_lazy_load("data/Rdata")["movielens"]

What comes back: a vector is a list (missing values are None), a factor the list
of its labels, a list with names a dict, and so a data frame a dict of columns.
Objects that hold functions or environments are refused with a ValueError.
"""

import bz2
import gzip
import lzma
import struct
import zlib

# Types of R values, as R's serialize.c and Rinternals.h number them.
NIL, SYMBOL, PAIRLIST, CHARS = 1, 2, 9 - 7, 9
SYMBOL, PAIRLIST = 1, 2
LOGICALS, INTEGERS, REALS, STRINGS, VALUES = 10, 13, 14, 16, 19
ALTREP, ATTRIBUTED_PAIRLIST, NIL_VALUE, REFERENCE = 238, 239, 254, 255
